"""A detector's levels: what their scores are called, and how they become one. No torch: planning reads this."""

from collections.abc import Mapping

import numpy as np


def part_of(level: int) -> str:
    """The score part of a level, which seeds, ids and files are made of."""
    return f"level_{level}"


def level_of(part: str) -> int:
    return int(part.removeprefix("level_"))


def combined(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Eq. 4: positions were averaged within each level, now the mean over levels; float32 (N,) from (N,) a part."""
    mean: np.ndarray = np.stack(list(parts.values())).mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32)
