"""The main job from a request to a report: images, shared stages, trials, winner, analyses."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.data.loading import load_splits
from orchestrator.data.split_store import SplitStore
from orchestrator.execution.checks import check_images
from orchestrator.execution.continuation import OpenRun, open_run
from orchestrator.execution.executor import Executor
from orchestrator.execution.observer import Nobody, Observer
from orchestrator.execution.recorder import Recorder, recorder_of
from orchestrator.execution.tasks import baseline_tasks, reconcile, space_analyses, stage_tasks, trial_tasks
from orchestrator.planning.cluster_size import check_crowded_nodes
from orchestrator.planning.identity import StagePlan
from orchestrator.planning.plan import Plan, plan_of
from orchestrator.planning.request import Request, check_executor
from orchestrator.record import method_code
from orchestrator.record.events import Closed
from orchestrator.record.heartbeat import heartbeat, launcher_lock
from orchestrator.record.paths import RunPaths
from orchestrator.record.provenance import all_cpus
from orchestrator.record.rates import keep_rates
from orchestrator.record.runs import resume_command
from orchestrator.record.state import DONE, Outcome, RunState
from orchestrator.record.tracking import Mirror, tracker_of
from orchestrator.results.evaluation import baseline_files
from orchestrator.results.run import Results, conclude, winner
from workloads.data.splits import Splits

PHASES = {"stages": "baselines and shared stages", "trials": "trials", "analyses": "analyses"}
"""What an executor does, in its order: name -> title."""


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
    run: OpenRun
    paths: RunPaths
    splits: Splits
    store: SplitStore
    recorder: Recorder
    observer: Observer
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> RunState:
        return self.recorder.ledger.state

    @property
    def stages_to_make(self) -> Sequence[StagePlan]:
        """Those that this code may make: where other code was accepted, what a trial that has ended was trained on is
        not made again."""
        state, run = self.state, self.run
        trials = [trial for trial in run.trials if not state.accepted or state.trials[trial.id].state not in DONE]
        keys = {key for trial in trials for key in trial.stages.values()}
        return [stage for stage in run.stages if stage.key in keys]


def launch(request: Request, observer: Observer | None = None, executor: Executor | None = None) -> Finished:
    """Run, or continue, to the end. An interrupt leaves a run that can be resumed.

    executor: by default the one that the request names. Raises UserError.
    """
    begun, observer = time.monotonic(), observer or Nobody()
    plan = plan_of(request)
    paths = RunPaths(request.storage, plan.run)
    observer.planned(plan, request)
    gangs, method_name = plan.space.resources.workers > 1, request.space.workload
    executor = executor or executor_named(request.executor, request.cpus, request.address, method_name, gangs=gangs)
    for instance in plan.methods:
        instance.prepare(Path(request.data_dir))
    with observer.busy("reading images"):
        tracker = tracker_of(paths, request.tracking_uri, request.loaded.name)
        splits = load_splits(request.space.data, Path(request.data_dir))
        check_images(plan, splits, executor.name)
        store = SplitStore(paths)
        store.keep(splits)
    plan = plan.with_images(splits)
    with launcher_lock(paths), heartbeat(paths):
        run = open_run(request, plan, paths, splits, executor.name)
        method_code.keep(paths, plan.space.workload)
        method_code.keep_space(paths, request.space, request.loaded.doc)
        mirror = Mirror(tracker, run.ledger.snapshot, observer.warn)
        recorder = recorder_of(plan.space, plan.rungs, run.ledger, mirror.changed, observer.warn)
        work = Launch(request, plan, run, paths, splits, store, recorder, observer)
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
    plan, paths, recorder, resources = work.plan, work.paths, work.recorder, work.plan.space.resources
    baselines, best = baseline_files(paths, work.state.identity), winner(work.state)
    tasks = {"trials": reconcile(trial_tasks(plan, paths, work.run, best), recorder)}
    tasks["analyses"] = space_analyses(plan, paths, work.run)
    after = {task for later in (*tasks["trials"], *tasks["analyses"]) for task in later.after}
    stages = [stage for stage in work.stages_to_make if f"stage/{stage.key}" in after]
    tasks["stages"] = baseline_tasks(baselines, work.splits, resources) + stage_tasks(plan, paths, stages, recorder)
    if not any(tasks.values()):
        return
    begun = time.monotonic()
    with executor:
        if warning := check_crowded_nodes(plan, executor.nodes()):
            work.observer.warn(warning)
        executor.share(work.store, work.splits.digest, work.splits)
        work.phases["start-up"] = time.monotonic() - begun
        with work.observer.watching(lambda: work.state, executor.notes):
            for name, title in PHASES.items():
                remaining = space_analyses(plan, paths, work.run) if name == "analyses" else tasks[name]
                if remaining:  # nothing is timed or shown of a phase without any
                    work.observer.phase(title)
                    begun = time.monotonic()
                    try:
                        executor.run(remaining, recorder, work.request.slots)
                    finally:
                        work.phases[name] = time.monotonic() - begun


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
