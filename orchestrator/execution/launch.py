"""The main job from a request to a report: images, shared stages, trials, winner, analyses."""

import time
from contextlib import nullcontext
from pathlib import Path

from orchestrator.execution.executor import Executor
from orchestrator.execution.observer import Finished, Observer
from orchestrator.planning.plan import plan_of
from orchestrator.planning.request import Request, check_executor
from orchestrator.record.events import Closed
from orchestrator.record.heartbeat import heartbeat, last_words, launcher_lock
from orchestrator.record.ledger import removed
from orchestrator.record.paths import RunPaths, check_tracking
from orchestrator.record.provenance import all_cpus
from orchestrator.record.runs import resume_command
from orchestrator.record.state import Outcome
from orchestrator.record.tracking.tracker import Tracker, mirrored

KILLED = "the launcher has ended without a word: killed, short of memory, or ended by a library"


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
    for instance in plan.checked_methods:
        instance.prepare(Path(request.data_dir))
    # Ray starts while torch is imported and images are read, unless a run that goes on has nothing left to do
    with nullcontext() if (begun_before := paths.ledger.exists()) else executor.ahead():
        from orchestrator.data.loading import load_splits
        from orchestrator.data.split_store import SplitStore
        from orchestrator.execution.continuation import open_run
        from orchestrator.execution.recorder import recorder_of
        from orchestrator.execution.tasks import Launch, run_all
        from orchestrator.results.run import conclude, sure_winner

        with observer.busy("reading images"):
            splits = load_splits(request.space.data, Path(request.data_dir))
            plan = plan.with_images(splits)
            store = SplitStore(paths)
            store.keep(splits)
        with launcher_lock(paths), heartbeat(paths), last_words(f"{KILLED}; `resume {plan.run}` goes on"):
            if begun_before and not paths.ledger.exists():  # nobody begins such a run anew
                raise removed(paths.ledger)
            run = open_run(request, plan, paths, splits, executor.name)
            plan = run.plan
            work = Launch(request, plan, paths, splits, store, run, observer)
            tracker = Tracker(paths, request.tracking_uri, plan.name)
            outcome, results, seconds, best = Outcome.FAILED, None, 0.0, None
            with mirrored(tracker, run.ledger, observer.warn):
                try:
                    run_all(work, executor, recorder_of(plan.space, plan.rungs, run.ledger, observer.warn))
                    best = sure_winner(work.state).id
                    outcome = Outcome.SOME_FAILED if work.state.failures else Outcome.COMPLETE
                    results = conclude(paths, work.state, run.methods)  # where this fails the run is finished
                except (KeyboardInterrupt, SystemExit):  # Ray's handler of SIGTERM, in its start-up, exits
                    outcome, best = Outcome.INTERRUPTED, None
                except Exception as error:
                    error.add_note(f"Resume: {resume_command(plan.run, request.storage, request.address)}")
                    raise
                finally:
                    seconds = time.monotonic() - begun if best else 0.0
                    run.ledger.append(Closed(outcome, round(seconds, 1) or None, best))
    return Finished(plan.run, request, outcome, work.state, tracker.uri, results, seconds, work.phases, tracker.page)


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
