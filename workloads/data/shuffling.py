"""Seeded choices within a class. Each depends on (purpose, seed, class name) alone, never on the other classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.training.seeds import derive_seed


def shuffled(rows: NDArray[np.intp], purpose: str, seed: int, name: str) -> NDArray[np.intp]:
    """The rows of class `name` in a seeded order."""
    return np.random.default_rng(derive_seed(purpose, seed, name)).permutation(rows)


def halves(labels: NDArray[np.int64], classes: tuple[str, ...], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Train and test rows, each ascending: within every class a seeded half, the odd image to train.

    For datasets that have no official test split.
    """
    train: list[NDArray[np.intp]] = []
    test: list[NDArray[np.intp]] = []
    for label, name in enumerate(classes):
        rows = shuffled(np.flatnonzero(labels == label), "half", seed, name)
        middle = (len(rows) + 1) // 2
        train.append(rows[:middle])
        test.append(rows[middle:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def halves_of_groups(
    labels: NDArray[np.int64], groups: Sequence[str], classes: tuple[str, ...], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """As `halves`, with all images of a group on one side, whatever their classes. groups: (N,), "" for an image alone.

    Class by class, groups that no earlier class has placed train in a seeded order until half of the class's images do.
    """
    names = np.asarray([group or f"\0{row}" for row, group in enumerate(groups)])
    sides: dict[str, bool] = {}
    for label, name in enumerate(classes):
        of_class = names[labels == label].tolist()
        trained = sum(sides.get(group, False) for group in of_class)
        for group in shuffled(np.unique(of_class), "half", seed, name).tolist():
            if group not in sides:
                sides[group] = trained < (len(of_class) + 1) // 2
                trained += of_class.count(group) if sides[group] else 0
    trains = np.asarray([sides[name] for name in names.tolist()], bool)
    return np.flatnonzero(trains), np.flatnonzero(~trains)


def together(rows: NDArray[np.intp], groups: Sequence[str], sizes: Sequence[int]) -> tuple[NDArray[np.intp], list[int]]:
    """Rows in their order, those of a group behind its first, and the ends of parts that lie one behind the other: each
    has its size at the least, and ends where a group does.

    groups: of each row, "" for a row alone.
    """
    names = [group or f"\0{row}" for row, group in enumerate(groups)]
    first = {name: place for place, name in reversed([*enumerate(names)])}
    order = sorted(range(len(rows)), key=lambda place: (first[names[place]], place))
    inside = [a > 0 and names[order[a]] == names[order[a - 1]] for a in range(len(order))] + [False]
    ends, end = list[int](), 0
    for size in sizes:
        end = next(place for place in range(min(end + size, len(rows)), len(inside)) if not inside[place])
        ends.append(end)
    return rows[np.asarray(order, np.intp)], ends
