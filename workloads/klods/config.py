"""Every key of the group scores. What KLODS leaves open in the text that could be read is marked "guess"."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from workloads.errors import UserError
from workloads.klods.splits import REGULARISERS, Regulariser, parse

SUM = "sum"
Weighting = Literal["vectors", "equal"]
LEVEL = re.compile(r"z([1-9]\d*)")


@dataclass(frozen=True)
class KlodsConfig:
    """Group size 5 is in the abstract of arXiv 2002.03328; nothing else below is known to be its authors' choice."""

    split: str = "patches_2"  # guess: patches_P, channels, groups_G or squeeze (see splitting)
    level: str = SUM  # guess: z1, z2, ... or sum, over all levels, as if they were independent
    weighting: Weighting = "vectors"  # guess: in a sum, a level's KL counts once a vector, or once
    regulariser: Regulariser = "none"  # guess; none needs n > m
    shrinkage: float = 0.1  # guess; weight of I, read by regulariser shrinkage alone
    group_sizes: tuple[int, ...] = (1, 5, 10, 25)  # 1 is a single image; all but 5 and 10 guess
    contamination: float = 1.0  # share of anomalies in an anomalous group; 1 = pure, as published
    directions: int = 50  # of GOD1KS and GOD2KS; their authors' number for RealNVP

    # made anomalies that selection uses instead of real ones
    shift: float = 0.2  # guess: correlation given to neighbours, in (0, 1)
    alpha: float = 0.05  # guess: the nominal false-positive rate that the null law is judged at

    group_seed: int = 0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # read by pydantic where it is installed


def levels(config: KlodsConfig, count: int) -> tuple[int, ...]:
    """Indices, from 0, of the levels in use, of `count`. Raises UserError for one that is not there."""
    if config.level == SUM:
        return tuple(range(count))
    match = LEVEL.fullmatch(config.level)
    if not match or int(match[1]) > count:
        there = ", ".join(f"z{number}" for number in range(1, count + 1))
        raise UserError(f"no level {config.level!r}", where="level", fix=f"one of {there} or {SUM}")
    return (int(match[1]) - 1,)


def problems(config: Any) -> Iterator[tuple[str, str]]:
    """Every (key, what is wrong) of a config whose types are right; nothing if it can run."""
    for key in ("shrinkage", "contamination", "shift", "alpha"):
        if not math.isfinite(getattr(config, key)):
            yield key, "must be a finite number"
    try:
        parse(config.split)
    except UserError as error:
        hint = f"did you mean {error.nearest!r}?" if error.nearest else error.fix
        yield "split", f"{error.headline}; {hint}"
    if config.level != SUM and not LEVEL.fullmatch(config.level):
        yield "level", f"must be z1, z2, ... or {SUM}"
    if config.regulariser not in REGULARISERS:
        yield "regulariser", f"must be one of {', '.join(REGULARISERS)}"
    if config.weighting not in get_args(Weighting):
        yield "weighting", f"must be one of {', '.join(get_args(Weighting))}"
    sizes = list(config.group_sizes)
    if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1:
        yield "group_sizes", "must be distinct whole numbers of 1 or more, in order"
    if config.directions < 1:
        yield "directions", "must be 1 or more"
    if not 0 < config.contamination <= 1:
        yield "contamination", "must be in (0, 1]"
    for key in ("shrinkage", "shift", "alpha"):
        if not 0 < getattr(config, key) < 1:
            yield key, "must be in (0, 1)"
