"""The only writer of what happens to tasks: it goes into the ledger first, then to the rule."""

from collections.abc import Callable, Mapping, Sequence
from threading import RLock

from orchestrator.execution.executor import Ended, RungReport, Started, TaskEvent
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.stage import StageWork
from orchestrator.planning.early_stopping import Decision, EarlyStopping, NeverStop, OncePerPoint, SuccessiveHalving
from orchestrator.planning.identity import analysis_digest
from orchestrator.record.events import AnalysisEnded, Event, RungMetrics, RungReached, StageEnded, TrialMoved
from orchestrator.record.ledger import Ledger
from orchestrator.record.state import DONE, State
from tune_spaces.schema import Space
from workloads.registry import method
from workloads.scoring.selection import CRITERIA

END_OF_SCHEDULE = 1000
ENDS = {True: State.FINISHED, False: State.STOPPED}
"""What becomes of a trial that is over: by whether it has reached the end of its schedule."""
UNFINISHED = (State.PENDING, State.RUNNING, State.INTERRUPTED)
LONGEST_ERROR = 500  # characters of it that the ledger keeps


def recorder_of(space: Space, rungs: Sequence[int], ledger: Ledger, warn: Callable[[str], None]) -> "Recorder":
    """The recorder of a run, with the rule that its space asks for."""
    criterion, scheduler = CRITERIA[space.select_by], space.scheduler
    compared = scheduler.kind == "asha" and len(rungs) > 1
    if not compared:
        return Recorder(ledger, NeverStop(), criterion.metric, warn)
    rule = SuccessiveHalving(rungs, scheduler.eta, criterion.mode)
    return Recorder(ledger, rule, criterion.metric, warn, space.seeds)


class Recorder:
    """Listens to an executor.

    rule: has seen no rung yet; it is told all that the ledger holds, in their order, so that a resumed sweep compares
    its trials with all that ran before. metric: the number that the rule compares. warn: takes a line for the user.
    seeds: trials of a point that are compared together.
    """

    def __init__(
        self, ledger: Ledger, rule: EarlyStopping, metric: str, warn: Callable[[str], None], seeds: int = 1
    ) -> None:
        self.ledger, self.metric, self.warn = ledger, metric, warn
        self.lock = RLock()  # executors may tell from several threads
        self.rule = OncePerPoint(rule, seeds)
        self.decisions: dict[str, Decision] = {}  # trial -> the one at its last rung
        reached: dict[str, int] = {}
        for event in ledger.events:
            match event:
                case RungReached(trial=name, rung=rung, metrics=metrics):
                    reached[name] = rung
                    self.decide(name, rung, metrics, reached)
                case TrialMoved(trial=name, state=State.FAILED):
                    self.fail(name)
                case TrialMoved(trial=name, state=State.RUNNING):
                    self.rule.begin(self.point_of(name), name)

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
                    for trial in task.trials:
                        self.rule.begin(self.point_of(trial.id), trial.id)
                case RungReport(name, rung, metrics) if rung in trials[name].rungs:
                    return self.decisions[name] if rung == trials[name].reached else Decision.CONTINUE
                case RungReport(name, rung, metrics):
                    self.ledger.append(RungReached(name, rung, metrics))
                    decision = self.decide(name, rung, metrics, self.reached())
                    after = self.moves(name, rung, decision)
                case Ended(task, end) if end.error and task.trials:
                    after = [TrialMoved(trial.id, State.FAILED, end.error[:LONGEST_ERROR]) for trial in task.trials]
                    after += [move for trial in task.trials for move in self.fail(trial.id)]
                case Ended(task) if task.trials:
                    running = [trial.id for trial in task.trials if trials[trial.id].state == State.RUNNING]
                    after = [TrialMoved(n, ENDS[trials[n].reached == END_OF_SCHEDULE]) for n in running]
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

    def point_of(self, trial: str) -> str:
        """What the rule compares: the trial, or its point where this has several seeds."""
        return trial if self.rule.seeds == 1 else self.ledger.state.point_of(trial)

    def reached(self) -> dict[str, int]:
        return {trial.id: trial.reached for trial in self.ledger.state.trials.values()}

    def others(self, name: str, reached: Mapping[str, int]) -> list[str]:
        """Trials of the same point that have come as far."""
        if self.rule.seeds == 1:
            return [name]
        point, rung = self.point_of(name), reached.get(name, 0)
        return [other for other, last in reached.items() if last == rung and self.point_of(other) == point]

    def decide(self, name: str, rung: int, metrics: RungMetrics, reached: Mapping[str, int]) -> Decision:
        """What becomes of a trial at a rung, and with it of the other seeds of its point that have reached it."""
        if rung == END_OF_SCHEDULE:
            self.decisions[name] = Decision.CONTINUE
        else:
            decision = self.rule.decide(self.point_of(name), name, rung, metrics.numbers.get(self.metric))
            self.decisions |= dict.fromkeys(self.others(name, reached), decision)
        return self.decisions[name]

    def moves(self, name: str, rung: int, decision: Decision) -> list[Event]:
        """The states that a decision on a trial leads to."""
        trials, others = self.ledger.state.trials, list[Event]()
        if decision == Decision.STOP:
            names = [other for other in self.others(name, self.reached()) if other != name]
            others = [TrialMoved(n, State.STOPPED) for n in names if trials[n].state in UNFINISHED]
        if trials[name].state != State.RUNNING or (decision == Decision.CONTINUE and rung != END_OF_SCHEDULE):
            return others
        ended = ENDS[rung == END_OF_SCHEDULE]
        return [TrialMoved(name, State.PENDING if decision == Decision.WAIT else ended), *others]

    def fail(self, name: str) -> list[Event]:
        """A trial has failed: the other seeds of its point wait for it no longer. Returns where they end with it."""
        decision = self.rule.fail(self.point_of(name), name)
        waiting = [other for other, before in self.decisions.items() if before == Decision.WAIT]
        waiting = [other for other in waiting if self.point_of(other) == self.point_of(name)]
        if decision != Decision.WAIT:
            self.decisions |= dict.fromkeys(waiting, decision)
        trials = self.ledger.state.trials
        stopped = [n for n in waiting if decision == Decision.STOP and trials[n].state in UNFINISHED]
        return [TrialMoved(n, State.STOPPED) for n in stopped]

    def waits(self, name: str) -> bool:
        """Whether a trial waits for other seeds of its point."""
        return self.decisions.get(name) == Decision.WAIT

    def interrupted(self) -> None:
        """Record what was running as interrupted."""
        with self.lock:
            for trial in list(self.ledger.state.trials.values()):
                if trial.state == State.RUNNING:
                    self.ledger.append(TrialMoved(trial.id, State.INTERRUPTED))
