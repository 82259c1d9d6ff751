"""Which trials a sweep stops early: asynchronous successive halving (Li et al., arXiv 1810.05934), as in Ray Tune."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np


class Decision(StrEnum):
    """What becomes of a trial that has reached a rung."""

    CONTINUE = "continue"
    STOP = "stop"


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
