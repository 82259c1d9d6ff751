"""Which trials a sweep stops early: asynchronous successive halving (Li et al., arXiv 1810.05934), as in Ray Tune."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Literal, Protocol

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


class EarlyStopping(Protocol):
    """A rule that sees every rung once, in the order in which the ledger holds them."""

    def decide(self, trial: str, rung: int, value: float | None) -> Decision: ...


class NeverStop:
    """Every trial runs to the end of its schedule."""

    def decide(self, trial: str, rung: int, value: float | None) -> Decision:  # noqa: ARG002 - the protocol's
        return Decision.CONTINUE


@dataclass
class SuccessiveHalving:
    """Continue a trial if it is among the best 1/eta of those that have reached its rung so far.

    rungs: thousandths of the schedule, ascending; at the last one a trial is over, not stopped. mode: the good end of
    the value. A trial whose value is undefined is not compared, and goes on.
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

    seeds: how many trials a point has. A trial that has failed is not waited for.
    """

    rule: EarlyStopping
    seeds: int = 1
    values: dict[tuple[str, int], dict[str, float | None]] = field(default_factory=dict)  # (point, rung) -> by trial
    decisions: dict[tuple[str, int], Decision] = field(default_factory=dict)
    failed: dict[str, set[str]] = field(default_factory=dict)  # point -> its trials

    def decide(self, point: str, trial: str, rung: int, value: float | None) -> Decision:
        """Record a trial's value at a rung; what becomes of its point."""
        self.values.setdefault((point, rung), {})[trial] = value
        return self.decide_on(point, rung)

    def decide_on(self, point: str, rung: int) -> Decision:
        values = self.values[point, rung]
        if (point, rung) not in self.decisions:
            if len(values.keys() | self.failed.get(point, set())) < self.seeds:
                return Decision.WAIT
            known = [value for value in values.values() if value is not None]
            self.decisions[point, rung] = self.rule.decide(point, rung, fmean(known) if known else None)
        return self.decisions[point, rung]

    def fail(self, point: str, trial: str) -> Decision:
        """A trial has failed; what becomes of the others at the rung where they wait for it."""
        self.failed.setdefault(point, set()).add(trial)
        waiting = [rung for known, rung in self.values if known == point and (point, rung) not in self.decisions]
        return self.decide_on(point, max(waiting)) if waiting else Decision.CONTINUE

    def begin(self, point: str, trial: str) -> None:
        """A trial begins, or begins again after it has failed."""
        self.failed.get(point, set()).discard(trial)
