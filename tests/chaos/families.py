"""All faults, and how a case of each is made from its number."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.chaos.cases import (
    DAMAGES,
    Stage,
    Verdict,
    at_a_moment,
    at_a_verb,
    clock_back,
    damaged,
    few_files,
    server_away,
    sharing,
    two_launchers,
    worker_dies,
)
from tests.chaos.disk import ERRORS, FAULTS, KILLS
from tests.chaos.tracking import WAYS
from tests.chaos.world import Place
from workloads.errors import UserError

Family = Callable[[Stage, Place, random.Random, int], Verdict]
FAMILIES: dict[str, Family] = {
    **{what: partial(at_a_moment, what) for what in FAULTS},
    **{f"{what}, at a verb": partial(at_a_verb, what) for what in (*KILLS, *ERRORS, "storage gone")},
    **{f"file {how}": partial(damaged, how) for how in DAMAGES},
    **{f"MLflow {how}": partial(server_away, how) for how in WAYS},
    "two launchers": two_launchers,
    "two runs that share": sharing,
    "clock an hour off": clock_back,
    "few open files": few_files,
    "worker dies": worker_dies,
}
"""Fault -> makes and judges its `number`-th case."""


def run_case(stage: Stage, fault: str, number: int, seed: int = 0, *, keep: bool = False) -> Verdict:
    """One case, in a place of its own, which is removed."""
    place = stage.world.place(f"{fault}-{number}".replace(" ", "_").replace("/", ""))
    place.folder.mkdir()
    try:
        verdict = FAMILIES[fault](stage, place, random.Random(f"{seed} {fault} {number}"), number)
    except (UserError, OSError) as error:  # of what the harness itself cannot read
        verdict = Verdict(fault, "unknown", wrong=[repr(error)])
    if not keep:
        place.remove()
    return replace(verdict, seed=seed)
