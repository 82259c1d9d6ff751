"""What a run is now: what the ledger's events add up to."""

from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from orchestrator.planning.identity import Identity
from orchestrator.record.events import (
    AnalysisEnded,
    Closed,
    CodeAccepted,
    Opened,
    Outcome,
    RungMetrics,
    StageEnded,
    State,
)
from tune_spaces.schema import Space
from tune_spaces.schema.models import stored
from tune_spaces.schema.validation import from_validation
from workloads.errors import Kind, UserError, several
from workloads.scoring.selection import CRITERIA

__all__ = ["DONE", "Outcome", "RunState", "State", "TrialState"]

END = 1000
"""The last rung, in thousandths of the schedule."""
DONE = (State.FINISHED, State.STOPPED)


@dataclass
class TrialState:
    """One trial as the ledger tells it. stages: str(unit) -> key of its artifact. rungs: thousandths -> metrics."""

    id: str
    point: dict[str, Any]
    stages: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    state: State = State.PENDING
    rungs: dict[int, RungMetrics] = field(default_factory=dict)
    error: str = ""

    @property
    def reached(self) -> int:
        """The last rung, in thousandths of the schedule; 0 before the first."""
        return max(self.rungs, default=0)

    @property
    def last(self) -> RungMetrics:
        """Metrics of the last rung. Raises KeyError before the first."""
        return self.rungs[self.reached]

    def metric(self, name: str) -> float | None:
        """One of the numbers of the last rung."""
        return self.last.numbers.get(name) if self.rungs else None


@dataclass
class RunState:
    """A whole run: its opening event, its trials in the plan's order, and how its last launcher ended."""

    opening: Opened | None = None
    trials: dict[str, TrialState] = field(default_factory=dict)
    stages: dict[str, StageEnded] = field(default_factory=dict)  # by key
    analyses: dict[str, AnalysisEnded] = field(default_factory=dict)  # by name/target: the last of each
    accepted: list[CodeAccepted] = field(default_factory=list)
    closed: Closed | None = None  # None while a launcher works on it, or has died
    launches: int = 0

    @property
    def opened(self) -> Opened:
        """The opening event. Raises ValueError for a ledger without events."""
        if self.opening is None:
            raise ValueError("the run has not been opened")
        return self.opening

    @property
    def identity(self) -> Identity:
        """Of the code that the run goes on with: the last that was accepted."""
        return self.accepted[-1].after if self.accepted else self.opened.identity

    @property
    def failures(self) -> bool:
        """Whether a trial or an analysis has failed."""
        failed = any(trial.state == State.FAILED for trial in self.trials.values())
        return failed or any(event.error for event in self.analyses.values())

    @property
    def expected(self) -> int:
        """How many trials there will be, those that a search has not chosen yet among them."""
        return max(len(self.trials), self.space.trials)

    def point_of(self, trial: str) -> str:
        """What all seeds of a trial's point share, as text; the trial's id where no point is repeated."""
        if self.space.seeds == 1:
            return trial
        return str({key: value for key, value in self.trials[trial].point.items() if key != "seed"})

    def areas_by_seed(self, trial: str) -> dict[int, float]:
        """Seed -> mean test AUROC at the end of the schedule, of all trials of a trial's point; none where it has one
        seed."""
        if self.space.seeds == 1:
            return {}
        point = self.point_of(trial)
        ended = [t for t in self.trials.values() if t.reached == END and self.point_of(t.id) == point]
        areas = {t.point["seed"]: t.metric(CRITERIA["oracle"].metric) for t in ended}
        return {seed: area for seed, area in areas.items() if area is not None}

    @property
    def seeds(self) -> list[str]:
        """The seeds that the trials are trained with, whether all share one or it varies between them."""
        shared = self.space.fixed.get("seed", 0)
        return [*dict.fromkeys(str(trial.point.get("seed", shared)) for trial in self.trials.values())] or [str(shared)]

    @property
    def varying(self) -> list[str]:
        """Keys in which the trials differ."""
        keys = dict.fromkeys(key for trial in self.trials.values() for key in trial.point)
        return [key for key in keys if len({str(trial.point.get(key)) for trial in self.trials.values()}) > 1]

    @property
    def winner(self) -> TrialState | None:
        """The best trial that reached the end, by the run's criterion; the earlier in the plan where two are equal.

        Where points are trained with several seeds, the point with the best mean is chosen, and of it the best trial;
        points of which seeds are lacking come after those that have more.
        """
        ended = [trial for trial in self.trials.values() if trial.state == State.FINISHED]
        if not ended or len(self.trials) == 1:
            return next(iter(ended), None)  # there was nothing to choose: the criterion may be undefined
        criterion, of_point = CRITERIA[self.space.select_by], dict[str, list[Any]]()
        values = [(t, t.last.numbers.get(criterion.metric)) for t in ended]
        known = {t.id: criterion.better_first(value) for t, value in values if value is not None}
        points = {name: self.point_of(name) if self.space.seeds > 1 else name for name in known}
        for name, rank in known.items():
            of_point.setdefault(points[name], []).append(rank)
        ranks = {point: (-len(values), fmean(values)) for point, values in of_point.items()}
        best = min(known, key=lambda name: (ranks[points[name]], known[name]), default=None)
        return self.trials[best] if best else None

    @property
    def leak(self) -> bool:
        """Whether test labels chose the winner. A single trial is chosen by nothing."""
        return len(self.trials) > 1 and CRITERIA[self.space.select_by].leak

    @cached_property
    def space(self) -> Space:
        """The resolved space. Raises UserError where this code does not know its keys."""
        try:
            return stored(self.opened.space)
        except ValidationError as error:
            raise several(from_validation(error, Space), "the space that the run was made with") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError("the run's space is none", details=repr(error), kind=Kind.ENVIRONMENT) from error
