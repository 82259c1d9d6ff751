"""Every key of the group scores. What KLODS leaves open in the text that could be read is marked "guess"."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from workloads.errors import UserError
from workloads.keys import key
from workloads.klods.splits import REGULARISERS, Regulariser, parse

SUM = "sum"
Weighting = Literal["vectors", "equal"]
LEVEL = re.compile(r"z([1-9]\d*)")


@dataclass(frozen=True)
class KlodsConfig:
    """Group size 5 is in the abstract of arXiv 2002.03328; nothing else below is known to be its authors' choice."""

    split: str = key("patches_2")  # guess: patches_P, channels, groups_G or squeeze (see splitting)
    level: str = key(SUM)  # guess: z1, z2, ... or sum, over all levels, as if they were independent
    weighting: Weighting = key("vectors")  # guess: in a sum, a level's KL counts once a vector, or once
    regulariser: Regulariser = key("none")  # guess; none needs n > m
    shrinkage: float = key(0.1, above=0, below=1)  # guess; weight of I, read by regulariser shrinkage alone
    group_sizes: tuple[int, ...] = key((1, 5, 10, 25), role="run")  # 1 is a single image; all but 5 and 10 guess
    contamination: float = key(1.0, role="run")  # share of anomalies in an anomalous group; 1 = pure, as published
    directions: int = key(50, above=0)  # of GOD1KS and GOD2KS; their authors' number for RealNVP

    # made anomalies that selection uses instead of real ones
    shift: float = key(0.2, role="run", above=0, below=1)  # guess: correlation given to neighbours, in (0, 1)
    # guess: the nominal false-positive rate that the null law is judged at
    alpha: float = key(0.05, role="analysis", above=0, below=1)

    group_seed: int = key(0, role="run")

    def problems(self) -> Iterator[tuple[str, str]]:
        try:
            parse(self.split)
        except UserError as error:
            hint = f"did you mean {error.nearest!r}?" if error.nearest else error.fix
            yield "split", f"{error.headline}; {hint}"
        if self.level != SUM and not LEVEL.fullmatch(self.level):
            yield "level", f"must be z1, z2, ... or {SUM}"
        if self.regulariser not in REGULARISERS:
            yield "regulariser", f"must be one of {', '.join(REGULARISERS)}"
        if self.weighting not in get_args(Weighting):
            yield "weighting", f"must be one of {', '.join(get_args(Weighting))}"
        sizes = list(self.group_sizes)
        if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1:
            yield "group_sizes", "must be distinct whole numbers of 1 or more, in order"
        if not 0 < self.contamination <= 1:
            yield "contamination", "must be in (0, 1]"


def levels(config: KlodsConfig, count: int) -> tuple[int, ...]:
    """Indices, from 0, of the levels in use, of `count`. Raises UserError for one that is not there."""
    if config.level == SUM:
        return tuple(range(count))
    match = LEVEL.fullmatch(config.level)
    if not match or int(match[1]) > count:
        there = ", ".join(f"z{number}" for number in range(1, count + 1))
        raise UserError(f"no level {config.level!r}", where="level", fix=f"one of {there} or {SUM}")
    return (int(match[1]) - 1,)
