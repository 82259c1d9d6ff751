"""What a config key says about itself, once, where it is declared: what depends on it, and which values it takes.

A config is a frozen dataclass whose fields are `key(default, ...)`. A condition that involves several keys stands in an
optional method of the config, ``problems(self)``, which yields (key, message).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal, TypeVar, get_type_hints

Role = Literal["stage", "learning", "analysis", "execution", "run"]
"""What depends on a key.

stage: shared stages, and all that is built on them. learning: a trial alone. run: as `learning`, or the set of units;
one value a run, so never an axis. analysis: analyses of the winner alone. execution: how numbers are computed, and none
of them but for the order of additions. A key of the last two changes no trial, so it is no axis either.
"""
ROLES_OF_TRIALS: tuple[Role, ...] = ("stage", "learning", "run")
"""Keys that a trial's numbers depend on."""
NO_AXIS: tuple[Role, ...] = ("run", "analysis", "execution")

Precision = Literal["auto", "fp32", "bf16"]
"""Of networks while they train, see `workloads.training.precision`; auto is open until a run is opened."""
PRECISION = "precision"

MARKS = "marks"
Value = TypeVar("Value")


LARGEST = 2**63
"""Whole numbers of a config are smaller."""


@dataclass(frozen=True)
class Marks:
    """schedule: whether the key says how large or how long. above, low, below: bounds of its value, or of every value
    of a tuple; `low` is allowed, the other two are not."""

    role: Role = "learning"
    schedule: bool = False
    above: float | None = None
    low: float | None = None
    below: float | None = None

    def problem(self, value: Any) -> str:
        """Why a value is out of bounds; empty where it is not, and for what is no number."""
        values = value if isinstance(value, tuple) else (value,)
        numbers = [item for item in values if isinstance(item, int | float)]
        if any(isinstance(number, int) and abs(number) >= LARGEST for number in numbers):
            return "must be a number of at most 64 bits"
        if not all(map(math.isfinite, numbers)):
            return "must be a finite number"
        return "" if all(map(self.allows, numbers)) else f"must be {self.bounds}"

    def allows(self, number: float) -> bool:
        return (
            (self.above is None or number > self.above)
            and (self.low is None or number >= self.low)
            and (self.below is None or number < self.below)
        )

    @property
    def bounds(self) -> str:
        if self.below is None:
            return f"above {self.above:g}" if self.above is not None else f"{self.low or 0:g} or above"
        if self.above is None and self.low is None:
            return f"below {self.below:g}"
        return f"in ({self.above:g}, {self.below:g})" if self.low is None else f"in [{self.low:g}, {self.below:g})"


def key(
    default: Value,
    *,
    role: Role = "learning",
    schedule: bool = False,
    above: float | None = None,
    low: float | None = None,
    below: float | None = None,
) -> Value:
    """A key of a config; what is said of it, see `Role` and `Marks`. Numbers must be finite in any case."""
    return field(default=default, metadata={MARKS: Marks(role, schedule, above, low, below)})


def marks_of(config: Any) -> Mapping[str, Marks]:
    """Key -> its marks, of a config or its class; of a plain field those of `key(default)`."""
    return marks_of_class(config if isinstance(config, type) else type(config))


@cache
def marks_of_class(config: type[Any]) -> Mapping[str, Marks]:
    """Read once: a large grid asks for each of its points."""
    return {item.name: item.metadata.get(MARKS, Marks()) for item in fields(config)}


def keys_of(config: Any, *roles: Role) -> tuple[str, ...]:
    """The keys of a config, or of its class, with one of these roles, in their order."""
    return tuple(name for name, marks in marks_of(config).items() if marks.role in roles)


def leaves_precision_open(config: type[Any], values: Mapping[str, Any]) -> bool:
    """Whether values of a config's keys leave the precision to the device."""
    return values.get(PRECISION) == "auto" and get_type_hints(config).get(PRECISION) == Precision


def schedule_keys(config: Any) -> tuple[str, ...]:
    """Keys that say how large and how long: what makes a number comparable with the published ones."""
    return tuple(name for name, marks in marks_of(config).items() if marks.schedule)


def config_problems(config: Any) -> Iterator[tuple[str, str]]:
    """Every (key, what is wrong) of a config whose types are right: bounds first, then its own conditions."""
    for name, marks in marks_of(config).items():
        if message := marks.problem(getattr(config, name)):
            yield name, message
    if hasattr(config, "problems"):
        yield from config.problems()
