"""Which trials a sweep stops early: asynchronous successive halving (Li et al., arXiv 1810.05934), as in Ray Tune."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Literal

import numpy as np


class Decision(StrEnum):
    """What becomes of a trial that has reached a rung."""

    CONTINUE = "continue"
    STOP = "stop"
    WAIT = "wait"  # until all seeds of its point have reached the rung; its worker is free for another

    @property
    def leaves(self) -> bool:
        """Whether the trial makes room for others."""
        return self != Decision.CONTINUE


@dataclass
class SuccessiveHalving:
    """Continue a trial if it is among the best 1/eta of those that have reached its rung so far.

    rungs: thousandths of the schedule, ascending; at the last one a trial is over, not stopped. mode: the good end of
    the value. A trial whose value is undefined is not compared, and goes on. With a single rung nothing is stopped.
    """

    rungs: Sequence[int]
    eta: int
    mode: Literal["max", "min"]
    values: dict[int, dict[str, float]] = field(default_factory=dict)  # rung -> trial -> value, higher = better

    def decide(self, trial: str, rung: int, value: float | None) -> Decision:
        """Record a trial's value at a rung, and compare it with those that were recorded there before."""
        if value is None or rung >= self.rungs[-1]:
            return Decision.CONTINUE
        earlier = self.values.setdefault(rung, {})
        if trial in earlier:  # it was promoted then
            return Decision.CONTINUE
        better = value if self.mode == "max" else -value
        cutoff = np.nanpercentile(list(earlier.values()), (1 - 1 / self.eta) * 100) if earlier else None
        earlier[trial] = better
        return Decision.STOP if cutoff is not None and better < cutoff else Decision.CONTINUE


@dataclass
class OncePerPoint:
    """Asks a rule once all seeds of a point have reached a rung, with the mean of their values.

    seeds: how many trials a point has. point_of: of a trial. end: the last rung, where nobody waits. A trial that has
    failed is not waited for.
    """

    rule: SuccessiveHalving
    seeds: int
    point_of: Callable[[str], str]
    end: int = 1000
    values: dict[tuple[str, int], dict[str, float | None]] = field(default_factory=dict)  # (point, rung) -> by trial
    decisions: dict[tuple[str, int], Decision] = field(default_factory=dict)
    failed: dict[str, set[str]] = field(default_factory=dict)  # point -> its trials

    def decide(self, trial: str, rung: int, value: float | None) -> Decision:
        """Record a trial's value at a rung; what becomes of its point."""
        self.values.setdefault((self.point_of(trial), rung), {})[trial] = value
        return self.at(trial, rung)

    def at(self, trial: str, rung: int) -> Decision:
        """What becomes of a trial that has reached a rung."""
        point = self.point_of(trial)
        if rung == self.end:
            return Decision.CONTINUE
        if (point, rung) not in self.decisions:
            values = self.values[point, rung]
            if len(values.keys() | self.failed.get(point, set())) < self.seeds:
                return Decision.WAIT
            known = [value for value in values.values() if value is not None]
            self.decisions[point, rung] = self.rule.decide(point, rung, fmean(known) if known else None)
        return self.decisions[point, rung]

    def begin(self, trial: str, *, failed: bool = False) -> None:
        """A trial begins, again where it has failed before; or else it has `failed`, and its point is decided where it
        alone was waited for: at once, so that what is read from a ledger later is decided in the same order."""
        point = self.point_of(trial)
        trials = self.failed.setdefault(point, set())
        trials.add(trial) if failed else trials.discard(trial)
        if failed:
            for known, rung in list(self.values):
                if known == point:
                    self.at(trial, rung)
