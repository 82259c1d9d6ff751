"""Analyses of a run's winner, of a run that is not being launched; what was done before is not done again."""

from collections.abc import Sequence

from orchestrator.data.split_store import SplitStore
from orchestrator.execution.executor import Executor
from orchestrator.execution.observer import Observer
from orchestrator.execution.recorder import END_OF_SCHEDULE, recorder_of
from orchestrator.execution.tasks import analysis_tasks
from orchestrator.record.heartbeat import heartbeat, launcher_lock
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths, check_tracking
from orchestrator.record.tracking.tracker import Tracker, mirrored
from orchestrator.results.run import Results, conclude, sure_winner
from workloads.analyses import analyses_of
from workloads.errors import UserError, nearest
from workloads.registry import method


def analyse(
    paths: RunPaths,
    names: Sequence[str],
    tracking_uri: str | None,
    executor: Executor,
    observer: Observer | None = None,
) -> Results:
    """Do the named analyses and write the report again.

    Raises UserError for an unknown analysis, and where no trial has reached the end.
    """
    observer = observer or Observer()
    with launcher_lock(paths), heartbeat(paths):
        ledger = Ledger(paths)
        state = ledger.state
        workload = state.space.workload
        known = analyses_of(method(workload))
        hints = {name: nearest(name, known) for name in names if name not in known}
        if unknown := [f"no analysis {name!r} of {workload}; {hint}" for name, hint in hints.items()]:
            raise UserError("unknown analysis", details="\n".join(unknown))
        check_tracking(paths, tracking_uri)
        recorder = recorder_of(state.space, (END_OF_SCHEDULE,), ledger, observer.warn)
        best = sure_winner(state)
        instance = method(workload)(state.space.config(best.point))
        if tasks := analysis_tasks(paths, state, names, best, instance, state.space.resources):
            with (
                executor.started(SplitStore(paths), state.opened.identity.data, None),
                observer.watching(lambda: ledger.state, executor.notes),
            ):
                observer.phase("analyses")
                executor.run(tasks, recorder)
        with mirrored(Tracker(paths, tracking_uri, state.opened.name), ledger, observer.warn):  # with the new report
            return conclude(paths, ledger.state)
