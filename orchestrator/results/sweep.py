"""What a run's trials tell together: how each came to its end, and what each key does to the criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.record.events import RungMetrics
from orchestrator.record.state import RunState, State
from workloads.scoring.intervals import Interval
from workloads.scoring.selection import CRITERIA

FEWEST = 10
"""Trials below which no importance is told: fewer cannot be split into those that fit and those that test."""
MOST_LEVELS = 10
"""Different values of a key that stand for themselves; more are put together by fifths."""
FOLDS, REPEATS, TREES, PERMUTATIONS = 5, 2, 50, 3
"""Of the importance: 864 trials of six keys take two seconds of a core with them."""


@dataclass(frozen=True)
class Course:
    """A trial from rung to rung. number: from 1 in the plan's order. rungs: thousandths of the schedule -> (criterion,
    mean test AUROC), None where undefined. seconds: of training and scoring. interval: of the last rung's AUROC, 95 %,
    for the number of test images alone."""

    number: int
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


@dataclass(frozen=True)
class Level:
    """The trials with a value of a key: how many, their mean criterion, and its 95 % interval where there are two."""

    value: str
    trials: int
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Effect:
    """What a key does. importance: by how much R² on trials that were held out falls where the key's values are
    shuffled, mean and standard deviation over the folds; None where there are too few trials."""

    key: str
    levels: tuple[Level, ...]
    importance: tuple[float, float] | None = None


@dataclass(frozen=True)
class Sweep:
    """The trials of a run. axes: keys that differ between them. criterion: its metric's title. best: id of the winner.

    higher: whether more of it is better. rung: the last that all trials with any have reached, at which `effects`
    compares them, so that none is left out for having been stopped. fit: R² of the model of the importance on trials
    that were held out.
    """

    courses: tuple[Course, ...]
    axes: tuple[str, ...]
    criterion: str
    best: str
    higher: bool = True
    rung: int = 0
    effects: tuple[Effect, ...] = ()
    fit: float | None = None


def sweep_of(state: RunState, best: str) -> Sweep | None:
    """What the trials tell; None where nothing varies."""
    courses = courses_of(state)
    names = dict.fromkeys(name for item in courses for name in item.point)
    axes = tuple(name for name in names if len({str(item.point.get(name)) for item in courses}) > 1)
    if not axes:
        return None
    reached = [item for item in courses if item.rungs]
    rung = min(max(item.rungs) for item in reached)
    at_rung = [(item, item.rungs[rung][0]) for item in reached if rung in item.rungs]
    known = [(item, value) for item, value in at_rung if value is not None]
    points, values = [item.point for item, _ in known], np.array([value for _, value in known])
    drops, fit = importances(points, values, axes) if len(known) >= FEWEST and np.ptp(values) else ({}, None)
    effects = tuple(Effect(name, levels_of(points, values, name), drops.get(name)) for name in axes)
    criterion = CRITERIA[state.space.select_by]
    shown = effects if len(known) > 1 else ()
    return Sweep(courses, axes, criterion.title, best, criterion.mode == "max", rung, shown, fit)


def courses_of(state: RunState) -> tuple[Course, ...]:
    """Every trial's, in the plan's order."""
    metric = CRITERIA[state.space.select_by].metric
    return tuple(
        Course(
            number,
            trial.id,
            trial.point,
            trial.state,
            {rung: values_of(numbers, metric) for rung, numbers in sorted(trial.rungs.items())},
            trial.last.train_seconds if trial.rungs else 0.0,
            interval_of_mean(trial.last) if trial.rungs else None,
        )
        for number, trial in enumerate(state.trials.values(), 1)
    )


def values_of(metrics: RungMetrics, metric: str) -> tuple[float | None, float | None]:
    """Criterion and mean test AUROC of a rung."""
    return metrics.numbers.get(metric), metrics.numbers.get(CRITERIA["oracle"].metric)


def interval_of_mean(metrics: RungMetrics) -> Interval | None:
    """Of the mean test AUROC: over the classes, or the out sets where a whole dataset is normal."""
    means = (metrics.intervals.get(name) for name in ("auroc/mean", "auroc_out/mean"))
    return next((interval for interval in means if interval is not None), None)


def levels_of(points: Sequence[Mapping[str, Any]], values: NDArray[np.float64], name: str) -> tuple[Level, ...]:
    """The mean criterion by value of a key, ascending, over whatever the other keys are. values: (T,) of the points."""
    from scipy.stats import t  # half a second, which every launch would wait for

    groups: dict[str, list[float]] = {}
    for label, value in zip(labels_of([point[name] for point in points]), values, strict=True):
        groups.setdefault(label, []).append(float(value))
    levels = []
    for label, members in groups.items():
        mean, interval = float(np.mean(members)), None
        if len(members) > 1:
            reach = float(t.ppf(0.975, len(members) - 1) * np.std(members, ddof=1) / len(members) ** 0.5)
            interval = (mean - reach, mean + reach)
        levels.append(Level(label, len(members), mean, interval))
    order = {label: place for place, label in enumerate(ordered([point[name] for point in points]))}
    return tuple(sorted(levels, key=lambda level: order.get(level.value, 0)))


def labels_of(values: Sequence[Any]) -> list[str]:
    """Each value as text; numbers of many different values as the fifth that they lie in."""
    if len({str(value) for value in values}) <= MOST_LEVELS or not all_numbers(values):
        return [text_of(value) for value in values]
    edges = np.unique(np.quantile(np.array(values, float), np.linspace(0, 1, 6)))
    places = np.searchsorted(edges, np.array(values, float), "right").clip(1, len(edges) - 1)
    return [f"{edges[place - 1]:.3g} to {edges[place]:.3g}" for place in places]


def ordered(values: Sequence[Any]) -> list[str]:
    """Every label once: numbers ascending, others by the alphabet."""
    pairs = zip(values, labels_of(values), strict=True)
    key = (lambda pair: float(pair[0])) if all_numbers(values) else (lambda pair: str(pair[0]))
    return list(dict.fromkeys(label for _, label in sorted(pairs, key=key)))


def all_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def text_of(value: Any) -> str:
    """A value of a key as people write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def importances(
    points: Sequence[Mapping[str, Any]], values: NDArray[np.float64], axes: Sequence[str]
) -> tuple[dict[str, tuple[float, float]], float]:
    """Key -> (mean, standard deviation) over the folds of its permutation importance, and the mean R² of the model.

    The model is a forest of extremely randomised trees; R² and its fall are of trials that the forest has not seen
    (Breiman, 2001; Fisher, Rudin and Dominici, 2019). Seeded: the same trials give the same numbers.
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import RepeatedKFold

    table = np.column_stack([numbers_of([point[name] for point in points]) for name in axes])
    drops, fits = [], []
    for train, test in RepeatedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0).split(table):
        forest = ExtraTreesRegressor(TREES, random_state=0).fit(table[train], values[train])
        fits.append(forest.score(table[test], values[test]))
        result = permutation_importance(forest, table[test], values[test], n_repeats=PERMUTATIONS, random_state=0)
        drops.append(result.importances_mean)
    mean, spread = np.mean(drops, axis=0), np.std(drops, axis=0, ddof=1)
    return {name: (float(m), float(s)) for name, m, s in zip(axes, mean, spread, strict=True)}, float(np.mean(fits))


def numbers_of(values: Sequence[Any]) -> NDArray[np.float64]:
    """Values as numbers: their own, or their place among all."""
    if all_numbers(values):
        return np.array(values, float)
    places = {label: place for place, label in enumerate(ordered(values))}
    return np.array([places[text_of(value)] for value in values], float)
