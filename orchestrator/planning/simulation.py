"""A sweep on N workers without running it: its durations, recorded or planned, placed as the launcher places them.

Stages come first, in rounds, each shared out longest first; then trials, each to the first slot that is free. That is
list scheduling (Graham 1969: at most twice the optimum, and with the longest first at most 4/3 of it).

Nothing contends here: slots are taken to have cores of their own. Where nodes shared two busy cores (measured twice), a
trial took 10, 22 and 35 s to start at one, two and three slots, and a sweep recorded at one slot took a quarter longer
than simulated at two and half as long again at three. With those starts put in, every prediction was within 8 %.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.planning.early_stopping import Decision, SuccessiveHalving
from workloads.errors import UserError


@dataclass(frozen=True)
class Load:
    """What a sweep consists of, in seconds on the workers that share a stage, and on one trial's workers."""

    rounds: tuple[tuple[float, ...], ...]
    trials: tuple[float, ...]  # in the order in which they are started
    training: (
        float  # seconds that workers train in all of them; the rest of a trial some of its workers wait for others
    )
    workers: int = 1  # of a trial
    sharing: int = 1  # of them that train a stage together
    sent: float = 0.0  # seconds, of all workers together, that they wait for each other's gradients in all of it
    start: float = 0.0  # once: Ray itself, or what a recording shows between the last stage and the first trial
    round_start: float = 0.0  # workers of a round
    trial_start: float = 0.0  # a trial's processes, and the gap that the launcher leaves before them

    def without_work(self) -> "Load":
        """The same, of which nothing but starting takes time."""
        rounds = tuple(tuple(0.0 for _ in costs) for costs in self.rounds)
        return replace(self, rounds=rounds, trials=tuple(0.0 for _ in self.trials), training=0.0, sent=0.0)


@dataclass(frozen=True)
class Outcome:
    """A simulated sweep. `busy`: seconds in which workers trained, of all that `workers` had."""

    slots: int
    workers: int
    stages: float
    trials: float
    start: float
    busy: float
    waves: int  # trials that the busiest slot runs one after the other

    @property
    def seconds(self) -> float:
        return self.start + self.stages + self.trials

    @property
    def idle(self) -> float:
        """Share of all workers' time without training, start-up included."""
        return max(0.0, 1 - self.busy / (self.workers * self.seconds)) if self.seconds else 0.0


def longest_first(costs: Sequence[float], workers: int) -> list[float]:
    """Loads of `workers` after giving each cost, the longest first, to the least loaded."""
    loads = [0.0] * workers
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(loads, loads[0] + cost)
    return loads


def in_order(costs: Sequence[float], slots: int) -> tuple[float, int]:
    """(makespan, most tasks of one slot) when each cost, in its order, goes to the slot that is free first."""
    free = [(0.0, 0, slot) for slot in range(slots)]
    for cost in costs:
        end, count, slot = free[0]
        heapq.heapreplace(free, (end + cost, count + 1, slot))
    return max(end for end, _, _ in free), max(count for _, count, _ in free)


def simulate(load: Load, slots: int) -> Outcome:
    """Run a load on `slots` trials at once. Raises UserError for fewer than one."""
    if slots < 1:
        raise UserError(f"a sweep needs at least one slot, found {slots}")
    stages = 0.0
    for costs in load.rounds:
        places = min(slots * load.workers // load.sharing, len(costs))
        stages += load.round_start + max(longest_first(costs, places))
    trials, waves = in_order([seconds + load.trial_start for seconds in load.trials], slots)
    busy = sum(map(sum, load.rounds)) * load.sharing + load.training - load.sent
    return Outcome(slots, slots * load.workers, stages, trials, load.start, busy, waves)


def critical_path(load: Load) -> float:
    """Seconds that no number of workers can undercut: one stage of every round, then one trial, the longest ones."""
    stages = sum(load.round_start + max(costs) for costs in load.rounds)
    return load.start + stages + load.trial_start + max(load.trials, default=0.0)


def asha_shares(trials: int, rungs: Sequence[int], eta: int, seed: int = 0) -> list[float]:
    """Which fraction of its schedule each trial gets when how good it is, is drawn by lot.

    The rule is that of a launch; trials are taken one after the other.
    """
    lot, rule = random.Random(seed), SuccessiveHalving(rungs, eta, "max")  # noqa: S311 - a simulation
    shares = []
    for trial in range(trials):
        quality = lot.random()
        last = next((rung for rung in rungs if rule.decide(str(trial), rung, quality) == Decision.STOP), rungs[-1])
        shares.append(last / 1000)
    return shares
