"""By what the winner of a sweep is chosen. No torch: plans and reports read this."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Select = Literal["contrastive", "likelihood", "oracle"]


@dataclass(frozen=True)
class Criterion:
    """metric: its name among the numbers of a rung. mode: its good end. title: what it is, in a few words."""

    metric: str
    mode: Literal["max", "min"]
    title: str
    leak: bool = False  # whether it looks at test labels

    def better_first(self, value: float) -> float:
        """A sort key that puts the better value first."""
        return -value if self.mode == "max" else value


CRITERIA: Mapping[Select, Criterion] = {
    "contrastive": Criterion("contrastive", "max", "contrastive score"),
    "likelihood": Criterion("bits_per_dim", "min", "bits/dim of held-out normal images"),
    "oracle": Criterion("oracle", "max", "test AUROC", leak=True),
}
