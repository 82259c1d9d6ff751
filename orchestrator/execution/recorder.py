"""The only writer of the ledger: what an executor tells goes there first, then to the rule, then to who watches."""

from collections.abc import Callable, Sequence
from threading import RLock

from orchestrator.execution.executor import End, RungReport, Task
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.stage import StageWork
from orchestrator.execution.work.trial import TrialWork
from orchestrator.planning.early_stopping import Decision, EarlyStopping, NeverStop, SuccessiveHalving
from orchestrator.planning.identity import analysis_digest
from orchestrator.record.events import AnalysisEnded, Event, RungReached, StageEnded, TrialMoved
from orchestrator.record.ledger import Ledger
from orchestrator.record.state import DONE, State
from tune_spaces.schema import Space
from workloads.registry import method
from workloads.scoring.selection import CRITERIA

END_OF_SCHEDULE = 1000
LONGEST_ERROR = 500  # characters of it that the ledger keeps


def recorder_of(
    space: Space, rungs: Sequence[int], ledger: Ledger, changed: Callable[[], None], warn: Callable[[str], None]
) -> "Recorder":
    """The recorder of a run, with the rule that its space asks for."""
    criterion, scheduler = CRITERIA[space.select_by], space.scheduler
    compared = scheduler.kind == "asha" and len(rungs) > 1
    rule = SuccessiveHalving(rungs, scheduler.eta, criterion.mode) if compared else NeverStop()
    return Recorder(ledger, rule, criterion.metric, changed, warn)


class Recorder:
    """Listens to an executor.

    rule: has seen no rung yet; it is told all that the ledger holds, in their order, so that a resumed sweep compares
    its trials with all that ran before. metric: the number that the rule compares. changed: called after every event.
    warn: takes a line for the user.
    """

    def __init__(
        self, ledger: Ledger, rule: EarlyStopping, metric: str, changed: Callable[[], None], warn: Callable[[str], None]
    ) -> None:
        self.ledger, self.rule, self.metric, self.changed, self.warn = ledger, rule, metric, changed, warn
        self.lock = RLock()  # executors may tell from several threads
        self.decisions: dict[str, Decision] = {}  # trial -> the one at its last rung
        for event in ledger.events:
            if isinstance(event, RungReached):
                self.decide(event)

    def append(self, event: Event) -> None:
        """Write an event, then tell who watches."""
        with self.lock:
            self.ledger.append(event)
        self.changed()

    def started(self, task: Task) -> None:
        if isinstance(task.work, TrialWork):
            for trial in task.work.trials:
                self.move(trial.id, State.RUNNING)

    def reported(self, task: Task, rung: RungReport) -> Decision:  # noqa: ARG002 - the rung names its trial
        """Record a rung and decide. What a trial that was begun again reports once more is there already: the decision
        at its last rung stands, for a launcher may have died before it acted on it."""
        event = RungReached(rung.trial, rung.rung, rung.metrics)
        with self.lock:
            trial = self.ledger.state.trials[rung.trial]
            if rung.rung in trial.rungs:
                return self.decisions[rung.trial] if rung.rung == trial.reached else Decision.CONTINUE
            self.append(event)
            decision = self.decide(event)
        if trial.state == State.RUNNING and (decision == Decision.STOP or rung.rung == END_OF_SCHEDULE):
            self.end_trial(rung.trial)
        return decision

    def decide(self, event: RungReached) -> Decision:
        """Ask the rule about a rung that the ledger holds."""
        decision = self.rule.decide(event.trial, event.rung, event.metrics.numbers.get(self.metric))
        self.decisions[event.trial] = decision
        return decision

    def ended(self, task: Task, end: End) -> None:
        """Record how a task ended. Of baselines there are only files: a table without them is better than none."""
        match task.work:
            case TrialWork() as work:
                for trial in work.trials:
                    self.end_trial(trial.id, end.error)
            case StageWork() as work if not end.error:
                self.append(StageEnded(str(work.stage.unit), task.name, False, end.seconds, end.steps))
            case AnalysisWork() as work:
                error = end.error[:LONGEST_ERROR]
                config = analysis_digest(method(work.method).Config, work.config)
                self.append(AnalysisEnded(work.name, work.target, "" if error else work.trial, error, config))
            case _ if end.error:
                self.warn(f"{task.id} failed: {end.error}")

    def end_trial(self, trial: str, error: str = "") -> None:
        """Record what became of a trial, unless that is known: others of its task may have gone on after it."""
        if error:
            self.move(trial, State.FAILED, error)
        else:
            reached = self.ledger.state.trials[trial].reached
            self.move(trial, State.FINISHED if reached == END_OF_SCHEDULE else State.STOPPED)

    def move(self, trial: str, state: State, error: str = "") -> None:
        with self.lock:
            if self.ledger.state.trials[trial].state not in DONE:
                self.append(TrialMoved(trial, state, error[:LONGEST_ERROR]))

    def interrupted(self) -> None:
        """Record what was running as interrupted."""
        for trial in list(self.ledger.state.trials.values()):
            if trial.state == State.RUNNING:
                self.move(trial.id, State.INTERRUPTED)
