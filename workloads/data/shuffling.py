"""Seeded choices within a class. Each depends on (purpose, seed, class name) alone, never on the other classes."""

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
