"""Names and sizes of pieces of work; no torch, so that planning is instant."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Unit:
    """One independent piece of training: for MLSAD one network of one level for one normal class."""

    kind: str  # e.g. "generator", "detector"
    target: str  # the normal class
    part: str  # e.g. "level_4"

    def __str__(self) -> str:
        return f"{self.kind}/{self.target}/{self.part}"


@dataclass(frozen=True)
class PartNames:
    """How results call a method's score parts: `kind` in headings; metrics' names leave out `prefix`."""

    kind: str = "score"
    prefix: str = ""

    def short(self, part: str) -> str:
        """The part in the names of metrics, such as ``auroc_level/4``."""
        return part.removeprefix(self.prefix)


@dataclass(frozen=True)
class ImageShape:
    """What a cost estimate must know of the data: channels, side in pixels, training images of one target."""

    channels: int
    side: int
    images: int
    auxiliary: int = 0  # training images of the general set


@dataclass(frozen=True)
class DataFacts:
    """What a config must fit. side: of the images, in pixels. pooled: whether a target is a whole dataset with all its
    classes. auxiliary: whether there is an auxiliary set. channels: 1 grey, 3 RGB. classes: that are normal for a
    target; 0 where unknown. select_by: the criterion that chooses the winner; empty where there is none yet."""

    side: int
    pooled: bool = False
    auxiliary: bool = False
    channels: int = 3
    classes: int = 0
    select_by: str = ""


def training_bytes(parameters: float, kept: float) -> float:
    """Bytes of float32 training: a weight, its gradient and Adam's two moments; what is kept for the backward pass."""
    return 16 * parameters + 4 * kept


GENERAL = "general"
"""The target of stages that learn from the general set. No class may be called so."""
