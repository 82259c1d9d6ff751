"""A sweep on N workers without running it: its durations, recorded or planned, placed as the launcher places them.

Stages come first, in rounds, each shared out longest first; then trials, each to the first slot that is free. That is
list scheduling (Graham 1969: at most twice the optimum, and with the longest first at most 4/3 of it).

Nothing contends here: slots are taken to have cores of their own. Where nodes shared two busy cores (measured twice), a
trial took 10, 22 and 35 s to start at one, two and three slots, and a sweep recorded at one slot took a quarter longer
than simulated at two and half as long again at three. With those starts put in, every prediction was within 8 %.
"""

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workloads.errors import UserError

SAME_ROUND_S = 2.0
"""Stages of a round are recorded together when it ends; rounds are longer apart than this, for workers must start."""


@dataclass(frozen=True)
class Load:
    """What a sweep consists of, in seconds on one worker (stages) and on one trial's workers (trials)."""

    rounds: tuple[tuple[float, ...], ...]
    trials: tuple[float, ...]  # in the order in which they are started
    training: (
        float  # seconds that workers train in all of them; the rest of a trial some of its workers wait for others
    )
    workers: int = 1  # of a trial
    start: float = 0.0  # once: Ray itself, or what a recording shows between the last stage and the first trial
    round_start: float = 0.0  # workers of a round
    trial_start: float = 0.0  # a trial's processes, and the gap that the launcher leaves before them


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
        stages += load.round_start + max(longest_first(costs, min(slots * load.workers, len(costs))))
    trials, waves = in_order([seconds + load.trial_start for seconds in load.trials], slots)
    busy = sum(map(sum, load.rounds)) + load.training
    return Outcome(slots, slots * load.workers, stages, trials, load.start, busy, waves)


def critical_path(load: Load) -> float:
    """Seconds that no number of workers can undercut: one stage of every round, then one trial, the longest ones."""
    stages = sum(load.round_start + max(costs) for costs in load.rounds)
    return load.start + stages + load.trial_start + max(load.trials, default=0.0)


def asha_shares(trials: int, rungs: Sequence[int], eta: int, seed: int = 0) -> list[float]:
    """Which fraction of its schedule each trial gets when how good it is, is drawn by lot.

    Asynchronous halving (Li et al., arXiv 1810.05934) as it is run here: a trial goes on from a rung if it is among the
    best 1/eta of those that have reached it so far. Trials are taken one after the other.
    """
    lot, reached = random.Random(seed), dict[int, list[float]]()  # noqa: S311 - a simulation
    shares = []
    for _ in range(trials):
        quality, share = lot.random(), rungs[-1]
        for rung in rungs[:-1]:
            seen = reached.setdefault(rung, [])
            seen.append(quality)
            if sum(other > quality for other in seen) >= max(1, len(seen) / eta):
                share = rung
                break
        shares.append(share / 1000)
    return shares


@dataclass(frozen=True)
class Recording:
    """A launch as its ledger tells it: what it consisted of, and what it really took."""

    load: Load
    measured: Outcome  # `stages` with every start-up in them, up to the first trial; `waves` is not recorded


def seconds_of(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def last_launch(events: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The events from the last launch that ran a trial on."""
    starts = [n for n, event in enumerate(events) if event["event"] == "launched"]
    ran = [n for n, event in enumerate(events) if event["event"] == "trial" and event["state"] == "running"]
    begun = [n for n in starts if ran and n < ran[-1]]
    return events[begun[-1] :] if begun else []


def replay(events: Sequence[Mapping[str, Any]], workers: int = 1) -> Recording:
    """What the last launch of a run did, as a load. Raises UserError (exit 2) where it ended no trial.

    Training is told apart from starting, which depends on the machine and on what else starts on it: a trial's seconds
    are those it trained and scored, `trial_start` is the mean rest of its time and of the gap before it.
    """
    launch = last_launch(events)
    spans = spans_of(launch)
    if not spans:
        raise UserError("the run has ended no trial in its last launch: nothing to replay")
    ordered = sorted(spans.values())
    launched, first = seconds_of(launch[0]), ordered[0][0]
    slots = max(sum(a <= begin < b for a, b in ordered) for begin, _ in ordered)
    rounds, ends = rounds_of(launch)
    loads = [max(longest_first(costs, min(slots * workers, len(costs)))) for costs in rounds]
    between = turnaround(ordered, slots)
    lasted = [end - begin for begin, end in ordered]
    told = [trained(launch, trial) for trial in sorted(spans, key=lambda trial: spans[trial])]
    trials = [min(seconds, each) if each else seconds for seconds, each in zip(lasted, told, strict=True)]
    starting = max(0.0, ends[-1] - launched - sum(loads)) if ends else 0.0
    load = Load(
        rounds=rounds,
        trials=tuple(trials),
        training=workers * sum(told),
        workers=workers,
        start=max(0.0, first - (ends[-1] if ends else launched) - between),  # the first trial waits like any other
        round_start=starting / len(rounds) if rounds else 0.0,
        trial_start=between + (sum(lasted) - sum(trials)) / len(trials),
    )
    busy, last = sum(map(sum, rounds)) + load.training, max(end for _, end in ordered)
    stages, ran = first - launched - between, last - first + between  # told apart where `simulate` tells them apart
    return Recording(load, Outcome(slots, slots * workers, stages, ran, 0.0, busy, 0))


def spans_of(launch: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """When each trial that ended began and ended."""
    started: dict[str, float] = {}
    spans: dict[str, tuple[float, float]] = {}
    for event in launch:
        if event["event"] == "trial" and event["state"] == "running":
            started.setdefault(event["trial"], seconds_of(event))
        elif event["event"] == "trial" and event["trial"] in started and event["state"] != "interrupted":
            spans[event["trial"]] = (started[event["trial"]], seconds_of(event))
    return spans


def turnaround(spans: Sequence[tuple[float, float]], slots: int) -> float:
    """Mean seconds from a trial's end to the start of the one that takes its slot. `spans` by their beginning."""
    ends = sorted(end for _, end in spans)
    gaps = [max(0.0, begin - end) for (begin, _), end in zip(spans[slots:], ends, strict=False)]
    return sum(gaps) / len(gaps) if gaps else 0.0


def trained(launch: Sequence[Mapping[str, Any]], trial: str) -> float:
    """Seconds that a trial says it trained and scored, from its start on or since the launch before."""
    told = [e["metrics"]["train_seconds"] for e in launch if e["event"] == "rung" and e["trial"] == trial]
    return max(told, default=0.0)


def rounds_of(launch: Sequence[Mapping[str, Any]]) -> tuple[tuple[tuple[float, ...], ...], list[float]]:
    """(seconds of the stages of each round, when each round ended)."""
    rounds: list[list[float]] = []
    ends: list[float] = []
    for event in launch:
        if event["event"] != "stage" or event["found"]:
            continue
        if not ends or seconds_of(event) - ends[-1] > SAME_ROUND_S:
            rounds.append([])
            ends.append(seconds_of(event))
        rounds[-1].append(event["seconds"])
    return tuple(map(tuple, rounds)), ends
