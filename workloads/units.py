"""Names and sizes of pieces of work; no torch, so that planning is instant."""

from collections.abc import Iterator
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
class Analysis:
    """title: what it shows, in a line. function: ``package.module:name`` of a (config, view, fitted,
    seed) -> `Finding`."""

    title: str
    function: str


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
    """Of every image of a dataset: channels (1 grey, 3 RGB), height and width in pixels."""

    channels: int
    height: int
    width: int

    @property
    def side(self) -> int:
        """Of square images, in pixels. Raises ValueError for others: a method that needs squares has a problem then."""
        if self.height != self.width:
            raise ValueError(f"images of {self.height} x {self.width} pixels have no one side")
        return self.height

    @property
    def values(self) -> int:
        """Numbers that an image is made of."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class TrainingCounts:
    """Training images, validation apart: of a target (the largest, where several are meant), and auxiliary ones."""

    images: int
    auxiliary: int = 0


@dataclass(frozen=True)
class DataFacts:
    """What a config must fit. shape: of the images. workers: that share every batch; 1 where none do. pooled: whether a
    target is a whole dataset with all its classes. auxiliary: whether there is an auxiliary set. classes: that are
    normal for a target; 0 where unknown. select_by: the criterion that chooses the winner; empty where there is none
    yet. windows: whether images are several windows each."""

    shape: ImageShape
    workers: int = 1
    pooled: bool = False
    auxiliary: bool = False
    classes: int = 0
    select_by: str = ""
    windows: bool = False


def square_problems(shape: ImageShape) -> Iterator[tuple[str, str]]:
    """What a method says that works on square images alone: (key, message), nothing for squares."""
    if shape.height != shape.width:
        yield "data.side", f"needs square images, found {shape.height} x {shape.width}"


def window_problems(facts: DataFacts, why: str) -> Iterator[tuple[str, str]]:
    """What a method says that works on whole images alone: (key, message), nothing where each is its one window."""
    if facts.windows:
        yield "data.fit", f"'tiles' cuts these images into windows, and {why}: use 'squeeze'"


def training_bytes(parameters: float, kept: float) -> float:
    """Bytes of float32 training: a weight, its gradient and Adam's two moments; what is kept for the backward pass."""
    return 16 * parameters + 4 * kept


GENERAL = "general"
"""The target of stages that learn from the auxiliary set. No class may be called so."""
