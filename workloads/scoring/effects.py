"""What each key of a config does to a number, over many points: with its uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # quantiles of Student's t; scipy.stats would take half a second more

from workloads.scoring.intervals import Interval

FEWEST = 10
"""Points below which no importance is told: fewer cannot be split into those that fit and those that test."""
MANY_VALUES = 10
"""Different values of a key that stand for themselves; more are put together by fifths."""
FOLDS, REPEATS, TREES, PERMUTATIONS = 5, 2, 50, 3
"""Of the importance: 864 points of six keys take two seconds of a core with them."""
Points = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Level:
    """The points with a value of a key: how many, their mean number, and its 95 % interval where there are two."""

    value: str
    points: int
    mean: float
    interval: Interval | None


@dataclass(frozen=True)
class Effect:
    """What a key does. importance: by how much R² on points that were held out falls where the key's values are
    shuffled, mean and standard deviation over the folds; None where there are too few points."""

    key: str
    levels: tuple[Level, ...]
    importance: tuple[float, float] | None = None


def effects_of(points: Points, values: NDArray[np.float64], axes: Sequence[str]) -> tuple[list[Effect], float | None]:
    """The effect of every axis on the values (T,) of the points, and R² of the importance's model on points that it has
    not seen; None where there are too few points, or the values never differ."""
    drops, fit = importances(points, values, axes) if len(points) >= FEWEST and np.ptp(values) else ({}, None)
    return [Effect(name, levels_of(points, values, name), drops.get(name)) for name in axes], fit


def levels_of(points: Points, values: NDArray[np.float64], name: str) -> tuple[Level, ...]:
    """The mean by value of a key, ascending, over whatever the other keys are. values: (T,) of the points."""
    groups: dict[str, list[float]] = {}
    for label, value in zip(labels_of([point[name] for point in points]), values, strict=True):
        groups.setdefault(label, []).append(float(value))
    levels = []
    for label, members in groups.items():
        mean, interval = float(np.mean(members)), None
        if len(members) > 1:
            reach = float(stdtrit(len(members) - 1, 0.975) * np.std(members, ddof=1) / len(members) ** 0.5)
            interval = (mean - reach, mean + reach)
        levels.append(Level(label, len(members), mean, interval))
    order = ordered([point[name] for point in points])
    return tuple(sorted(levels, key=lambda level: order.index(level.value)))


def labels_of(values: Sequence[Any]) -> list[str]:
    """Each value as text; numbers of many different values as the fifth that they lie in."""
    if len({str(value) for value in values}) <= MANY_VALUES or not all_numbers(values):
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
    points: Points, values: NDArray[np.float64], axes: Sequence[str]
) -> tuple[dict[str, tuple[float, float]], float]:
    """Key -> (mean, standard deviation) over the folds of its permutation importance, and the mean R² of the model.

    The model is a forest of extremely randomised trees; R² and its fall are of points that the forest has not seen
    (Breiman, 2001; Fisher, Rudin and Dominici, 2019). Seeded: the same points give the same numbers.
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
