"""The only writer of what happens to tasks: it goes into the ledger first, then to the rule."""

from collections.abc import Callable, Sequence
from threading import RLock

from orchestrator.execution.executor import Ended, RungReport, Started, TaskEvent
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.stage import StageWork
from orchestrator.planning.early_stopping import Decision, SuccessiveHalving
from orchestrator.planning.identity import analysis_digest
from orchestrator.record.events import AnalysisEnded, Event, RungReached, StageEnded, TrialMoved
from orchestrator.record.ledger import Ledger
from orchestrator.record.state import DONE, State
from tune_spaces.schema import Space
from workloads.registry import method
from workloads.scoring.selection import CRITERIA

END_OF_SCHEDULE = 1000
ENDS = {True: State.FINISHED, False: State.STOPPED}
"""What becomes of a trial that is over: by whether it has reached the end of its schedule."""
LONGEST_ERROR = 500  # characters of it that the ledger keeps


def recorder_of(space: Space, rungs: Sequence[int], ledger: Ledger, warn: Callable[[str], None]) -> "Recorder":
    """The recorder of a run, with the rule that its space asks for."""
    criterion = CRITERIA[space.select_by]
    return Recorder(ledger, SuccessiveHalving(rungs, space.scheduler.eta, criterion.mode), criterion.metric, warn)


class Recorder:
    """Listens to an executor.

    rule: has seen no rung yet; it is told all that the ledger holds, in their order, so that a resumed sweep compares
    its trials with all that ran before. metric: the number that the rule compares. warn: takes a line for the user.
    """

    def __init__(self, ledger: Ledger, rule: SuccessiveHalving, metric: str, warn: Callable[[str], None]) -> None:
        self.ledger, self.rule, self.metric, self.warn = ledger, rule, metric, warn
        self.lock = RLock()  # executors may tell from several threads
        rungs = [event for event in ledger.events if isinstance(event, RungReached)]
        decided = {e.trial: rule.decide(e.trial, e.rung, e.metrics.numbers.get(metric)) for e in rungs}
        self.decisions: dict[str, Decision] = decided  # trial -> the one at its last rung

    def hear(self, event: TaskEvent) -> Decision:
        """Record what has happened; of a rung, decide whether its trial goes on.

        What a trial that was begun again reports once more is there already: the decision at its last rung stands, for
        a launcher may have died before it acted on it. Nor is anything recorded of a trial that is over: others of its
        task may have gone on after it. Of baselines there are only files: a table without them is better than none.
        """
        decision, after = Decision.CONTINUE, list[Event]()
        with self.lock:
            trials = self.ledger.state.trials
            match event:
                case Started(task):
                    after = [TrialMoved(trial.id, State.RUNNING) for trial in task.trials]
                case RungReport(name, rung, metrics) if rung in trials[name].rungs:
                    return self.decisions[name] if rung == trials[name].reached else Decision.CONTINUE
                case RungReport(name, rung, metrics):
                    self.ledger.append(RungReached(name, rung, metrics))
                    decision = self.rule.decide(name, rung, metrics.numbers.get(self.metric))
                    self.decisions[name] = decision
                    over = decision == Decision.STOP or rung == END_OF_SCHEDULE
                    if over and trials[name].state == State.RUNNING:
                        after = [TrialMoved(name, ENDS[rung == END_OF_SCHEDULE])]
                case Ended(task, end) if end.error and task.trials:
                    after = [TrialMoved(trial.id, State.FAILED, end.error[:LONGEST_ERROR]) for trial in task.trials]
                case Ended(task) if task.trials:
                    reached = {trial.id: trials[trial.id].reached for trial in task.trials}
                    after = [TrialMoved(name, ENDS[rung == END_OF_SCHEDULE]) for name, rung in reached.items()]
                case Ended(task, end) if isinstance(task.work, AnalysisWork):
                    work, error = task.work, end.error[:LONGEST_ERROR]
                    config = analysis_digest(method(work.method).Config, work.config)
                    after = [AnalysisEnded(work.name, work.target, "" if error else work.trial, error, config)]
                case Ended(task, end) if end.error:
                    self.warn(f"{task.id} failed: {end.error}")
                case Ended(task, end) if isinstance(task.work, StageWork):
                    after = [StageEnded(str(task.work.stage.unit), task.name, False, end.seconds, end.steps)]
            for change in after:
                if not isinstance(change, TrialMoved) or trials[change.trial].state not in DONE:
                    self.ledger.append(change)
        return decision

    def interrupted(self) -> None:
        """Record what was running as interrupted."""
        with self.lock:
            for trial in list(self.ledger.state.trials.values()):
                if trial.state == State.RUNNING:
                    self.ledger.append(TrialMoved(trial.id, State.INTERRUPTED))
