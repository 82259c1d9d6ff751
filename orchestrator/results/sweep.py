"""What a run's trials tell together, as plain data; `results.run` makes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.record.state import State
from workloads.scoring.effects import Effect
from workloads.scoring.intervals import Interval

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
    def seeds(self) -> dict[str, tuple[int, float, float]]:
        """Point without its seed -> how many seeds it was trained with, mean and standard deviation of their test
        AUROC; of those with several."""
        points: dict[str, list[float]] = {}
        for course in self.courses if SEED in self.axes else ():
            if course.area is not None:
                point = ", ".join(f"{key}={value}" for key, value in course.point.items() if key != SEED)
                points.setdefault(point or "all", []).append(course.area)
        several = {point: areas for point, areas in points.items() if len(areas) > 1}
        return {p: (len(areas), float(np.mean(areas)), float(np.std(areas, ddof=1))) for p, areas in several.items()}

    @property
    def importances(self) -> list[tuple[str, float, float]]:
        """Key, importance and its standard deviation, the most important key first; none where there are too few."""
        known = [(effect.key, *effect.importance) for effect in self.effects if effect.importance]
        return sorted(known, key=lambda item: -item[1])
