"""All faults, and how a case of each is made from its number."""

import random
from collections.abc import Callable
from functools import partial

from tests.chaos.cases import DAMAGES, Stage, Verdict, at_a_moment, damaged
from tests.chaos.disk import FAULTS
from tests.chaos.world import Place

Family = Callable[[Stage, Place, random.Random, int], Verdict]
FAMILIES: dict[str, Family] = {what: partial(at_a_moment, what) for what in FAULTS}
FAMILIES |= {f"file {how}": partial(damaged, how) for how in DAMAGES}
"""Fault -> makes and judges its `number`-th case."""


def run_case(stage: Stage, fault: str, number: int, seed: int = 0, *, keep: bool = False) -> Verdict:
    """One case, in a place of its own, which is removed."""
    place = stage.world.place(f"{fault}-{number}".replace(" ", "_").replace("/", ""))
    place.folder.mkdir()
    try:
        return FAMILIES[fault](stage, place, random.Random(f"{seed} {fault} {number}"), number)
    finally:
        if not keep:
            place.remove()
