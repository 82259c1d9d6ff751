"""How long a plan takes, by one model of time for the dry run, for clusters of any size and for replays.

A network is trained in ``work / (rate x workers that share its batches) + communication``. Workers that share batches
sum their gradients in a ring (Patarasuk and Yuan, 2009: each sends and receives ``2 (n - 1) / n`` of their bytes), and
every message takes a latency that grows with the logarithm of their number. Where each worker has networks of its own
nothing is communicated. How networks and trials are placed is `simulation`'s.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from orchestrator.planning.plan import (
    GANG_START,
    Plan,
    distinct_stages,
    is_costed,
    macs_of,
    speeds_of,
)
from orchestrator.planning.simulation import Load, asha_shares, longest_first, simulate
from workloads.errors import UserError
from workloads.method import Cost
from workloads.units import Unit

Speeds = Mapping[str, float]
"""As `plan.speeds_of` gives them."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of wall time, and where the numbers behind them come from."""

    stages: float
    trials: float
    overhead: float
    longest: float  # if the scheduler stops no trial
    source: str

    @property
    def total(self) -> float:
        return self.stages + self.trials + self.overhead


def estimate(plan: Plan) -> Estimate | None:
    """Wall time on the plan's workers, of ten targets where their number is not known. None where the method knows no
    cost and no earlier run was timed."""
    if not is_costed(plan):
        return None
    plan = plan if plan.targets else replace(plan, targets=("?",) * 10)
    speeds, source = speeds_of(plan.space.resources, plan.rates)
    slots = max(1, plan.workers // plan.space.resources.workers)
    load, whole = load_of(plan, speeds), load_of(plan, speeds, stopped=False)
    outcome = simulate(load, slots)
    starts = simulate(load.without_work(), slots)
    return Estimate(
        outcome.stages - starts.stages,
        outcome.trials - starts.trials,
        starts.seconds,
        simulate(whole, slots).seconds,
        source,
    )


@dataclass(frozen=True)
class Training:
    """Seconds of a network that some workers train together: of each one's computing, and of waiting for the others'
    gradients."""

    computing: float
    waiting: float

    @property
    def seconds(self) -> float:
        return self.computing + self.waiting


def training(cost: Cost, speeds: Speeds, workers: int) -> Training:
    """Of a network whose batches workers share as far as they can: else each of them computes all of it."""
    if workers == 1 or not cost.shared:
        return Training(cost.macs / speeds["rate"], 0.0)
    sending = 2 * (workers - 1) / workers * cost.sent / speeds["bandwidth"]
    arriving = math.ceil(math.log2(workers)) * cost.messages * speeds["latency"]
    return Training(cost.macs / speeds["rate"] / workers, sending + arriving)


def load_of(plan: Plan, speeds: Speeds, *, stopped: bool = True) -> Load:
    """What a plan consists of, in seconds.

    Longest trials first without a scheduler; ASHA takes them in the plan's order, how far each goes is drawn. stopped:
    whether the scheduler stops any. Raises UserError where nobody knows yet what the plan costs.
    """
    if not is_costed(plan):
        raise UserError(f"what {plan.name} costs is not known yet", fix="launch it once here: that run is timed")
    resources, targets = plan.space.resources, plan.targets or ("?",)
    sharing = resources.workers if resources.share == "batches" else 1
    trained = partial(unit_training, plan, speeds, sharing)
    stages = [[trained(*stage) for stage in level] for level in levels_of(plan, targets)]
    units = [[trained(instance, unit) for unit in instance.units(targets)] for instance in plan.all_methods]
    shares = shares_of(plan, len(units), stopped)
    parts = [(share, unit) for share, trial in zip(shares, units, strict=True) for unit in trial]
    trials = [
        share * max(longest_first([unit.seconds for unit in trial], resources.workers // sharing))
        for share, trial in zip(shares, units, strict=True)
    ]
    gang = GANG_START if resources.workers > 1 and not plan.in_process else 0.0
    return Load(
        rounds=tuple(tuple(stage.seconds for stage in level) for level in stages),
        trials=tuple(trials if len(plan.rungs) > 1 and stopped else sorted(trials, reverse=True)),
        training=sharing * sum(share * unit.seconds for share, unit in parts),
        workers=resources.workers,
        sharing=sharing,
        sent=sharing * sum(share * unit.waiting for share, unit in [*parts, *((1.0, s) for s in chain(*stages))]),
        start=0.0 if plan.in_process else speeds["start"],
        round_start=gang if sharing > 1 else 0.0,
        trial_start=gang or (0.0 if plan.in_process else speeds["trial_start"]),
    )


def shares_of(plan: Plan, trials: int, stopped: bool) -> Sequence[float]:
    """Which fraction of its schedule each trial gets: all of it, or as the scheduler stops some."""
    if not stopped or len(plan.rungs) == 1:
        return [1.0] * trials
    return asha_shares(trials, plan.rungs, plan.space.scheduler.eta)


def unit_training(plan: Plan, speeds: Speeds, workers: int, instance: Any, unit: Unit) -> Training:
    """Of a plan's unit; by its training images where the method knows no cost."""
    cost = instance.cost(unit, plan.shape, plan.counts) or Cost(macs_of(instance, unit, plan.shape, plan.counts))
    return training(cost, speeds, workers)


def levels_of(plan: Plan, targets: Sequence[str]) -> list[list[tuple[Any, Unit]]]:
    """The shared stages in their rounds: each after those that it reads."""
    levels: dict[int, list[tuple[Any, Unit]]] = {}
    depth: dict[str, int] = {}
    for instance, unit in distinct_stages(plan.methods, targets):
        needs = [depth[str(need)] for need in instance.needs(unit) if str(need) in depth]
        depth[str(unit)] = 1 + max(needs, default=-1)
        levels.setdefault(depth[str(unit)], []).append((instance, unit))
    return [levels[level] for level in sorted(levels)]
