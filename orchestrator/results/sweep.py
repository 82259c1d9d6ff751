"""What a run's trials tell together, as plain data; `results.run` makes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.record.state import State
from workloads.scoring.effects import Effect
from workloads.scoring.intervals import Interval
from workloads.scoring.paired import OverSeeds, over_seeds

SEED = "seed"


@dataclass(frozen=True)
class Course:
    """A trial from rung to rung. rungs: thousandths of the schedule -> (criterion, mean test AUROC), None where
    undefined. seconds: of training and scoring. interval: of the last rung's AUROC, 95 %, for the number of test images
    alone."""

    id: str
    point: Mapping[str, Any]
    state: State
    rungs: Mapping[int, tuple[float | None, float | None]]
    seconds: float
    interval: Interval | None = None

    @property
    def last(self) -> tuple[float | None, float | None]:
        """Criterion and AUROC of the last rung."""
        return self.rungs[max(self.rungs)] if self.rungs else (None, None)

    @property
    def area(self) -> float | None:
        """Mean test AUROC at the end of the schedule; None before it."""
        return self.rungs[1000][1] if 1000 in self.rungs else None


@dataclass(frozen=True)
class Repeated:
    """A point that was trained with several seeds. point: its keys in words, without the seed. areas: seed -> mean test
    AUROC at the end of the schedule. less: the winner's point less this one, over the seeds that both have."""

    point: str
    areas: Mapping[int, float]
    less: OverSeeds | None = None

    @property
    def mean(self) -> float:
        return float(np.mean([*self.areas.values()]))

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds."""
        return float(np.std([*self.areas.values()], ddof=1))

    def facts(self) -> dict[str, Any]:
        """For programs; `behind`: how far the point is behind the winner's."""
        facts = {"point": self.point, "auroc": dict(self.areas), "mean": self.mean, "spread": self.spread}
        less = self.less and {"difference": self.less.value, "interval": self.less.interval, "p": self.less.p}
        return facts | {"behind": less}


def repeated_points(
    points: Iterable[tuple[Mapping[str, Any], float | None]], best: Mapping[str, Any]
) -> list[Repeated]:
    """Points with several seeds that reached the end, the highest mean first. points: with their AUROC, those of all
    trials; best: the winner's."""
    areas: dict[str, dict[int, float]] = {}
    for point, area in points:
        if area is not None and SEED in point:
            areas.setdefault(words_of(point), {})[point[SEED]] = area
    winner = areas.get(words_of(best), {})
    several = [
        Repeated(words, known, None if words == words_of(best) else over_seeds(winner, known))
        for words, known in areas.items()
        if len(known) > 1
    ]
    return sorted(several, key=lambda repeated: -repeated.mean)


def words_of(point: Mapping[str, Any]) -> str:
    """A point's keys without the seed."""
    return ", ".join(f"{key}={value}" for key, value in point.items() if key != SEED) or "all"


@dataclass(frozen=True)
class Sweep:
    """The trials of a run. axes: keys that differ between them. criterion: its metric's title. best: id of the winner.

    higher: whether more of it is better; leak: whether it looks at test labels. rung: the last that all trials with any
    have reached, those that failed apart, at which `effects` compares them, so that none is left out for having been
    stopped. fit: R² of the model of the importance on trials that were held out.
    """

    courses: tuple[Course, ...]
    axes: tuple[str, ...]
    criterion: str
    best: str
    higher: bool = True
    rung: int = 0
    effects: tuple[Effect, ...] = ()
    fit: float | None = None
    leak: bool = False

    @property
    def picked(self) -> dict[str, Course]:
        """Who picked -> what: the criterion the winner, and an oracle of the trials that reached the end that with the
        highest test AUROC."""
        ended = [c for c in self.courses if c.area is not None and c.state == State.FINISHED]
        (winner,) = [course for course in self.courses if course.id == self.best]
        best = max(ended, key=lambda course: course.area or 0.0, default=winner)
        return {"the criterion": winner, "an oracle": best}

    @property
    def repeated(self) -> list[Repeated]:
        """Points that were trained with several seeds."""
        if SEED not in self.axes:
            return []
        (best,) = [course.point for course in self.courses if course.id == self.best]
        return repeated_points(((course.point, course.area) for course in self.courses), best)

    @property
    def importances(self) -> list[tuple[str, float, float]]:
        """Key, importance and its standard deviation, the most important key first; none where there are too few."""
        known = [(effect.key, *effect.importance) for effect in self.effects if effect.importance]
        return sorted(known, key=lambda item: -item[1])
