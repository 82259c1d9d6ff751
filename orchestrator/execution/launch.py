"""The main job from a request to a report: images, shared stages, trials, winner, analyses."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.execution.executor import Executor
from orchestrator.execution.observer import Finished, Observer
from orchestrator.planning.cluster_size import check_crowded_nodes
from orchestrator.planning.plan import Plan, plan_of
from orchestrator.planning.request import Request, check_executor
from orchestrator.record import method_code
from orchestrator.record.events import Closed
from orchestrator.record.heartbeat import heartbeat, launcher_lock
from orchestrator.record.paths import RunPaths, check_tracking
from orchestrator.record.provenance import all_cpus
from orchestrator.record.rates import keep_rates
from orchestrator.record.runs import resume_command
from orchestrator.record.state import Outcome, RunState
from orchestrator.record.tracking import Tracker, mirrored

if TYPE_CHECKING:  # torch, and what else takes seconds: Ray starts meanwhile
    from orchestrator.data.split_store import SplitStore
    from orchestrator.execution.continuation import OpenRun
    from orchestrator.execution.recorder import Recorder
    from orchestrator.results.run import Results
    from workloads.data.splits import Splits

PHASES = {"stages": "baselines and shared stages", "trials": "trials", "analyses": "analyses"}
"""What an executor does, in its order: name -> title."""


@dataclass(frozen=True)
class Launch:
    """What a launch holds once its images are read and its run is open."""

    request: Request
    plan: Plan
    paths: RunPaths
    splits: "Splits"
    store: "SplitStore"
    run: "OpenRun"
    recorder: "Recorder"
    observer: Observer
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> RunState:
        return self.run.ledger.state


def launch(request: Request, observer: Observer | None = None, executor: Executor | None = None) -> Finished:
    """Run, or continue, to the end. An interrupt leaves a run that can be resumed.

    executor: by default the one that the request names. Raises UserError.
    """
    begun, observer, plan = time.monotonic(), observer or Observer(), plan_of(request)
    paths = RunPaths(request.storage, plan.run)
    check_tracking(paths, request.tracking_uri)
    observer.planned(plan, request)
    gangs, method_name = plan.space.resources.workers > 1, request.space.workload
    executor = executor or executor_named(request.executor, request.cpus, request.address, method_name, gangs=gangs)
    for instance in plan.methods:
        instance.prepare(Path(request.data_dir))
    # a run that goes on may have nothing left to do, or be refused
    with nullcontext() if paths.ledger.exists() else executor.ahead():
        from orchestrator.data.loading import load_splits
        from orchestrator.data.split_store import SplitStore
        from orchestrator.execution.continuation import open_run
        from orchestrator.execution.recorder import recorder_of

        with observer.busy("reading images"):
            splits = load_splits(request.space.data, Path(request.data_dir))
            plan = plan.with_images(splits)
            store = SplitStore(paths)
            store.keep(splits)
        with launcher_lock(paths), heartbeat(paths):
            run = open_run(request, plan, paths, splits, executor.name)
            try:
                recorder = recorder_of(plan.space, plan.rungs, run.ledger, observer.warn)
            except BaseException as error:  # Ctrl-C, too; what comes later `carry_out` closes
                ended = Outcome.FAILED if isinstance(error, Exception) else Outcome.INTERRUPTED
                run.ledger.append(Closed(ended, None, None))
                raise
            tracker = Tracker(paths, request.tracking_uri, plan.name)
            with mirrored(tracker, run.ledger, observer.warn):
                work = Launch(request, plan, paths, splits, store, run, recorder, observer)
                try:
                    outcome, results, seconds = carry_out(work, executor, begun)
                except Exception as error:
                    error.add_note(f"Resume: {resume_command(plan.run, request.storage, request.address)}")
                    raise
    return Finished(plan.run, request, outcome, work.state, tracker.uri, results, seconds, work.phases)


def carry_out(work: Launch, executor: Executor, begun: float) -> "tuple[Outcome, Results | None, float]":
    """Run all that remains, and close the books however it ends: outcome, results, seconds of wall time."""
    from orchestrator.results.run import conclude

    outcome, results, seconds, best, request = Outcome.FAILED, None, 0.0, None, work.request
    try:
        run_all(work, executor)
        results = conclude(work.paths, work.state, work.run.methods)
        outcome = Outcome.SOME_FAILED if work.state.failures else Outcome.COMPLETE
        seconds, best = time.monotonic() - begun, results.best.id
    except KeyboardInterrupt:
        outcome = Outcome.INTERRUPTED
    finally:
        resources, trials = request.space.resources, work.state.trials.values()
        try:
            if best is None:
                work.recorder.interrupted()
            keep_rates(request.storage, work.plan.name, work.plan.preset, resources, request.workers, trials)
        finally:
            work.run.ledger.append(Closed(outcome, round(seconds, 1) if best else None, best))
    return outcome, results, seconds


def run_all(work: Launch, executor: Executor) -> None:
    """Have everything done that an executor does, phase by phase."""
    from orchestrator.execution.tasks import remaining, space_analyses

    plan, begun = work.plan, time.monotonic()
    method_code.keep(work.paths, plan.space, work.request.loaded.doc)  # in here, where an error closes the launch
    tasks = remaining(plan, work.paths, work.run, work.splits, work.recorder)
    if not any(tasks.values()):
        return
    with executor.started(work.store, work.splits.digest, work.splits):
        work.phases["start-up"] = time.monotonic() - begun
        if plan.space.resources.sharing_a_gpu > 1 and (warning := check_crowded_nodes(plan, executor.nodes())):
            work.observer.warn(warning)
        with work.observer.watching(lambda: work.state, executor.notes):
            for name, title in PHASES.items():
                if name == "analyses" and plan.space.analyses:  # of the winner, who is known once all trials are over
                    tasks[name] = space_analyses(plan, work.paths, work.run)
                if tasks[name]:  # nothing is timed or shown of a phase without any
                    work.observer.phase(title)
                    begun = time.monotonic()
                    try:
                        executor.run(tasks[name], work.recorder, work.request.slots)
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
