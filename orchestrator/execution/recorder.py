"""The only writer of what happens to tasks: it goes into the ledger first, then to the rule."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import RLock
from typing import Any

from orchestrator.execution.executor import Ended, RungReport, Started, TaskEvent
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.stage import StageWork
from orchestrator.planning.early_stopping import Decision, OncePerPoint, SuccessiveHalving
from orchestrator.planning.identity import analysis_digest
from orchestrator.record.events import AnalysisEnded, Event, Mishap, RungReached, StageEnded, TrialMoved
from orchestrator.record.ledger import Ledger
from orchestrator.record.provenance import without_secrets
from orchestrator.record.state import DONE, State
from tune_spaces.schema import Space
from workloads.registry import method
from workloads.scoring.selection import CRITERIA

END_OF_SCHEDULE = 1000
ENDS = {True: State.FINISHED, False: State.STOPPED}
"""What becomes of a trial that is over: by whether it has reached the end of its schedule."""
UNFINISHED = (State.PENDING, State.RUNNING, State.INTERRUPTED)
LONGEST_ERROR = 500  # characters of it that the ledger keeps


def kept(error: str) -> str:
    """As much of an error as is recorded and shown: libraries put addresses into theirs, with all that is in them."""
    return without_secrets(error)[:LONGEST_ERROR]


def recorder_of(space: Space, rungs: Sequence[int], ledger: Ledger, warn: Callable[[str], None]) -> "Recorder":
    """The recorder of a run, with the rule that its space asks for."""
    criterion = CRITERIA[space.select_by]
    rule = SuccessiveHalving(rungs, space.scheduler.eta, criterion.mode)
    return Recorder(ledger, rule, criterion.metric, warn, space.seeds)


class Recorder:
    """Listens to an executor.

    rule: has seen no rung yet; it is told all that the ledger holds, in their order, so that a resumed sweep compares
    its trials with all that ran before. metric: the number that the rule compares. warn: takes a line for the user.
    seeds: trials of a point that are compared together.
    """

    def __init__(
        self, ledger: Ledger, rule: SuccessiveHalving, metric: str, warn: Callable[[str], None], seeds: int = 1
    ) -> None:
        self.ledger, self.metric, self.warn = ledger, metric, warn
        self.together = OncePerPoint(rule, seeds, ledger.state.point_of, END_OF_SCHEDULE) if seeds > 1 else None
        self.rule = self.together or rule
        self.lock = RLock()  # executors may tell from several threads
        self.decisions: dict[str, Decision] = {}  # trial -> the one at its last rung, as it was made then
        for event in ledger.events:
            match event:
                case RungReached(trial=name, rung=rung, metrics=metrics):
                    self.decisions[name] = self.rule.decide(name, rung, metrics.numbers.get(metric))
                case TrialMoved(trial=name, state=state) if self.together and state in (State.RUNNING, State.FAILED):
                    self.together.begin(name, failed=state == State.FAILED)

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
                case Mishap():
                    self.warn(": ".join(filter(None, (event.task, kept(event.text)))))
                    after = [replace(event, text=kept(event.text))]
                case Started(task):
                    after = self.moved(task.trials, State.RUNNING)
                case RungReport(name, rung, metrics) if rung in trials[name].rungs:
                    return self.decision_on(name) if rung == trials[name].reached else Decision.CONTINUE
                case RungReport(name, rung, metrics):
                    self.ledger.append(RungReached(name, rung, metrics))
                    decision = self.rule.decide(name, rung, metrics.numbers.get(self.metric))
                    self.decisions[name] = decision
                    over = decision == Decision.STOP or rung == END_OF_SCHEDULE
                    if over and trials[name].state == State.RUNNING:
                        after = [TrialMoved(name, ENDS[rung == END_OF_SCHEDULE])]
                    if self.together:
                        after += self.with_other_seeds(name)
                case Ended(task, end) if end.error and task.trials:
                    after = self.moved(task.trials, State.FAILED, kept(end.error))
                case Ended(task) if task.trials:
                    running = [trial.id for trial in task.trials if trials[trial.id].state == State.RUNNING]
                    after = [TrialMoved(n, ENDS[trials[n].reached == END_OF_SCHEDULE]) for n in running]
                case Ended(task, end) if isinstance(task.work, AnalysisWork):
                    work, error = task.work, kept(end.error)
                    config = analysis_digest(method(work.method).Config, work.config)
                    after = [AnalysisEnded(work.name, work.target, "" if error else work.trial, error, config)]
                case Ended(task, end) if end.error:
                    self.warn(f"{task.id} failed: {kept(end.error)}")
                case Ended(task, end) if isinstance(task.work, StageWork):
                    after = [StageEnded(str(task.work.stage.unit), task.name, False, end.seconds, end.steps)]
            for change in after:
                if not isinstance(change, TrialMoved) or trials[change.trial].state not in DONE:
                    self.ledger.append(change)
        return decision

    def moved(self, trials: Sequence[Any], state: State, error: str = "") -> list[Event]:
        """Trials of a task begin, or have failed, and with them the other seeds of their points wait no longer."""
        moves: list[Event] = [TrialMoved(trial.id, state, error) for trial in trials]
        if self.together:
            for trial in trials:
                self.together.begin(trial.id, failed=state == State.FAILED)
                moves += self.with_other_seeds(trial.id)
        return moves

    def with_other_seeds(self, name: str) -> list[Event]:
        """What the seeds of a point become with each other: where the last has come, they are stopped; before, wait."""
        trials, point = self.ledger.state.trials, self.ledger.state.point_of(name)
        seeds = [n for n, trial in trials.items() if trial.rungs and self.ledger.state.point_of(n) == point]
        stopped = [n for n in seeds if self.decision_on(n) == Decision.STOP and trials[n].state in UNFINISHED]
        waiting = [n for n in seeds if self.waits(n) and trials[n].state == State.RUNNING]
        ended = [TrialMoved(n, State.STOPPED) for n in stopped if n != name or trials[n].state != State.RUNNING]
        return [*ended, *(TrialMoved(n, State.PENDING) for n in waiting)]

    def decision_on(self, name: str) -> Decision:
        """What becomes of a trial at its last rung."""
        if self.together:
            return self.together.at(name, self.ledger.state.trials[name].reached)
        return self.decisions[name]

    def waits(self, name: str) -> bool:
        """Whether a trial waits at its last rung for other seeds of its point."""
        return bool(self.ledger.state.trials[name].rungs) and self.decision_on(name) == Decision.WAIT

    def interrupted(self) -> None:
        """Record what was running as interrupted."""
        with self.lock:
            for trial in list(self.ledger.state.trials.values()):
                if trial.state == State.RUNNING:
                    self.ledger.append(TrialMoved(trial.id, State.INTERRUPTED))
