"""The main job from a request to a report: images, shared stages, trials, winner, analyses."""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from orchestrator.data.loading import load_splits
from orchestrator.data.split_store import SplitStore
from orchestrator.execution.checks import check_images
from orchestrator.execution.continuation import open_ledger, trials_of
from orchestrator.execution.executor import Executor, Task
from orchestrator.execution.from_request import plan_of
from orchestrator.execution.observer import Nobody, Observer
from orchestrator.execution.recorder import Recorder, recorder_of
from orchestrator.execution.tasks import analysis_tasks, baseline_tasks, reconcile, stage_tasks, trial_tasks
from orchestrator.planning.cluster_size import check_crowded_nodes
from orchestrator.planning.identity import TrialPlan, identify, stages_of_trials
from orchestrator.planning.plan import Plan
from orchestrator.planning.request import Request, check_executor, schedule_name
from orchestrator.record import method_code
from orchestrator.record.events import Closed, Launched, Opened
from orchestrator.record.heartbeat import heartbeat
from orchestrator.record.locks import launcher_lock
from orchestrator.record.paths import RunPaths
from orchestrator.record.provenance import all_cpus, capture, without_secrets
from orchestrator.record.rates import keep_rates
from orchestrator.record.runs import resume_command
from orchestrator.record.state import DONE, Outcome, RunState
from orchestrator.record.tracking import Mirror, tracker_of
from orchestrator.results.run import Results, conclude
from workloads.data.splits import Splits


@dataclass(frozen=True)
class Finished:
    """How a launch of a run ended. results: None where it was interrupted. phases: seconds of wall time. tracking:
    MLflow's URI."""

    run: str
    request: Request
    outcome: Outcome
    state: RunState
    tracking: str
    results: Results | None = None
    seconds: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)

    @property
    def resume(self) -> str:
        """The command that goes on."""
        return resume_command(self.run, self.request.storage, self.request.address)

    @property
    def worker_seconds(self) -> float:
        """Seconds that workers spent in training and scoring, added up: every rung says how long its trial has run."""
        trials = sum(trial.last.train_seconds for trial in self.state.trials.values() if trial.rungs)
        stages = sum(stage.seconds for stage in self.state.stages.values())
        return trials * self.request.workers + stages


@dataclass(frozen=True)
class Launch:
    """What a launch holds once its images are read and its run is open."""

    request: Request
    plan: Plan
    trials: Sequence[TrialPlan]
    paths: RunPaths
    splits: Splits
    recorder: Recorder
    observer: Observer
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> RunState:
        return self.recorder.ledger.state

    @property
    def trials_to_make(self) -> Sequence[TrialPlan]:
        """Those whose stages this code may make: where other code was accepted, what a trial that has ended was trained
        on is not made again."""
        state = self.state
        return [trial for trial in self.trials if not state.accepted or state.trials[trial.id].state not in DONE]

    @contextmanager
    def phase(self, name: str, title: str = "") -> Iterator[None]:
        """Time what happens inside, and show its title."""
        self.observer.phase(title or name)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = time.monotonic() - begun


def launch(request: Request, observer: Observer | None = None, executor: Executor | None = None) -> Finished:
    """Run, or continue, to the end. An interrupt leaves a run that can be resumed.

    executor: by default the one that the request names. Raises UserError.
    """
    begun, observer = time.monotonic(), observer or Nobody()
    plan = plan_of(request)
    observer.planned(plan, request)
    gangs, method_name = plan.space.resources.workers > 1, request.space.workload
    executor = executor or executor_named(request.executor, request.cpus, request.address, method_name, gangs=gangs)
    paths = RunPaths(request.storage, plan.run)
    tracker = tracker_of(paths, request.tracking_uri, request.loaded.name)
    for instance in plan.methods:
        instance.prepare(Path(request.data_dir))
    with observer.busy("reading images"):
        splits = load_splits(request.space.data, Path(request.data_dir))
        check_images(request, splits, executor.name)
        SplitStore(paths).keep(splits)
    plan = plan.with_images(splits)
    opened = opening(plan, splits, request)
    with launcher_lock(paths), heartbeat(paths):
        ledger = open_ledger(paths, opened, plan, splits.target_digests, request.accept_code)
        method_code.keep(paths, plan.space.workload)
        method_code.keep_space(paths, request.loaded.source, request.space.data.path)
        ledger.append(launched(opened, executor.name))
        mirror = Mirror(tracker, ledger.snapshot, observer.warn)
        recorder = recorder_of(plan.space, plan.rungs, ledger, mirror.changed, observer.warn)
        trials = list(trials_of(plan, ledger.state))
        work = Launch(request, plan, trials, paths, splits, recorder, observer)
        try:
            finished = carry_out(work, executor, mirror, begun)
        except Exception as error:
            error.add_note(f"Resume: {resume_command(plan.run, request.storage, request.address)}")
            raise
    observer.ended(finished)
    return finished


def carry_out(work: Launch, executor: Executor, mirror: Mirror, begun: float) -> Finished:
    """Run all that remains, and close the books however it ends."""
    outcome, results, seconds, best = Outcome.FAILED, None, None, None
    try:
        run_all(work, executor)
        results = conclude(work.paths, work.state)
        outcome = Outcome.SOME_FAILED if work.state.failures else Outcome.COMPLETE
        seconds, best = time.monotonic() - begun, results.best.id
    except KeyboardInterrupt:
        outcome = Outcome.INTERRUPTED
        work.recorder.interrupted()
    finally:
        resources, trials = work.request.space.resources, work.state.trials.values()
        keep_rates(work.request.storage, work.plan.name, work.plan.preset, resources, work.request.workers, trials)
        try:
            work.recorder.append(Closed(outcome, None if seconds is None else round(seconds, 1), best))
        finally:
            mirror.end()
    return Finished(
        work.plan.run, work.request, outcome, work.state, mirror.tracker.uri, results, seconds or 0.0, work.phases
    )


def run_all(work: Launch, executor: Executor) -> None:
    """Everything that an executor does: baselines, missing stages, unfinished trials, analyses."""
    plan, space, paths, recorder = work.plan, work.plan.space, work.paths, work.recorder
    trials = reconcile(trial_tasks(plan, paths, work.trials, work.state), recorder)
    analyses = analysis_tasks(paths, work.state, space.analyses, space)
    after = {task for later in (*trials, *analyses) for task in later.after}
    stages = [stage for stage in stages_of_trials(plan, work.trials_to_make) if f"stage/{stage.key}" in after]
    shared = baseline_tasks(paths, work.splits, work.state.identity.baselines_code, space.resources)
    shared += stage_tasks(plan, paths, stages, recorder)
    if not trials and not shared and not analyses:
        return
    begun = time.monotonic()
    with executor:
        if warning := check_crowded_nodes(plan, executor.nodes()):
            work.observer.warn(warning)
        executor.share(SplitStore(paths), work.splits.digest, work.splits)
        work.phases["start-up"] = time.monotonic() - begun
        with work.observer.watching(lambda: work.state, executor.notes):
            for name, title, tasks in phases(work, shared, trials):
                if tasks:  # nothing is timed or shown of a phase without any
                    with work.phase(name, title):
                        executor.run(tasks, recorder, work.request.slots)


def phases(work: Launch, shared: list[Task], trials: list[Task]) -> Iterator[tuple[str, str, list[Task]]]:
    """(name, title, tasks) of each phase; which analyses there are is known when the trials have ended."""
    yield "stages", "baselines and shared stages", shared
    yield "trials", "trials", trials
    space = work.plan.space
    yield "analyses", "analyses", analysis_tasks(work.paths, work.state, space.analyses, space)


def executor_named(
    name: str, cpus: int | None = None, address: str | None = None, workload: str = "mlsad", *, gangs: bool = False
) -> Executor:
    """An executor by its name; Ray on `cpus` cores of this machine, all where absent, or at `address`.

    gangs: whether it is to run tasks that several workers do together. Raises UserError for one that there is not.
    """
    check_executor(name, address)
    if name == "local":
        from orchestrator.execution.local import LocalExecutor

        return LocalExecutor()
    from orchestrator.execution.on_ray.executor import RayExecutor

    return RayExecutor(cpus or all_cpus(), address, workload, gangs=gangs)


def opening(plan: Plan, splits: Splits, request: Request) -> Opened:
    """The ledger's first event: everything needed to resume, to report and to compare."""
    identity, trials = identify(plan, splits.digest, splits.target_digests)
    estimate = plan.estimate
    return Opened(
        uid=uuid4().hex,
        name=plan.name,
        doc=plan.doc,
        source=str(request.loaded.source),
        space=plan.space.model_dump(mode="json"),
        preset=plan.preset,
        schedule=schedule_name(request),
        dataset=plan.space.data.name,
        targets=plan.targets,
        counts={name: len(images.first_windows) for name, images in splits.by_name().items()},
        shape=plan.shape,
        identity=identity,
        costs={name: round(seconds, 2) for name, seconds in estimate.networks.items()} if estimate else {},
        data_dir=request.data_dir,
        tracking_uri=request.tracking_uri and without_secrets(request.tracking_uri),
        trials=trials,
        provenance=capture(),
        remarks=splits.remarks,
        white_level=splits.white_level,
        account=splits.account,
    )


def launched(opened: Opened, executor: str) -> Launched:
    return Launched(opened.provenance.command, executor, socket.gethostname(), os.getpid())
