"""Which points of a space are tried, and with how many seeds."""

import random
from typing import Any, Literal

from pydantic import Field

from tune_spaces.schema.part import Part


class Search(Part):
    """Which points of the axes' product are tried."""

    kind: Literal["random", "grid", "optuna"] = "random"
    points: int = Field(default=32, ge=1, description="points to try, random or chosen; a grid takes all")
    seed: int = 0
    random_start: int | None = Field(
        default=None, ge=1, description="optuna: so many points are random; by default a quarter of them"
    )
    at_once: int = Field(
        default=4, ge=1, description="optuna: so many points are chosen together, by all results before them"
    )

    def start(self, size: int) -> int:
        """Points that are known before anything has run, of `size` that there are."""
        if self.kind == "grid":
            return size
        points = min(size, self.points)
        if self.kind == "random":
            return points
        return min(points, self.random_start or max(1, points // 4))

    def asked(self) -> dict[str, Any]:
        """What it says, without keys that its kind does not read."""
        unread = () if self.kind == "optuna" else ("random_start", "at_once")
        return {name: value for name, value in self.model_dump(mode="json").items() if name not in unread}


def shuffled(count: int, seed: int, first: int) -> list[int]:
    """The first numbers of `range(count)` in a random order: as `random.sample` of all of them draws it, without
    making the rest."""
    draws, moved, numbers = random.Random(seed), dict[int, int](), []  # noqa: S311
    for left in range(count, max(0, count - first), -1):
        drawn = draws.randrange(left)
        numbers.append(moved.get(drawn, drawn))
        moved[drawn] = moved.get(left - 1, left - 1)
    return numbers
