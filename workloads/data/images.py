"""Containers of labelled images: what every dataset yields and every protocol takes."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workloads.data.reading.account import Account
from workloads.data.reading.region import IGNORED, Region
from workloads.data.windows import DEEPEST, Places

NO_CLASS = -1
"""The label of images that belong to none of a dataset's classes: out sets and auxiliary images."""
OUT = "out"
CALIBRATION = "calibration"
"""The split of normal images that neither trained nor chose a detector, which thresholds rest on."""


def image_of_window(ids: Sequence[str]) -> NDArray[np.int64]:
    """(N,) int64: the number of the image that each row belongs to, from the id of its image."""
    numbers: dict[str, int] = {}
    return np.fromiter((numbers.setdefault(item, len(numbers)) for item in ids), np.int64, len(ids))


def rows_of_images(ids: Sequence[str]) -> list[slice]:
    """The rows of every image: its windows are neighbours and share its id."""
    first = np.unique(image_of_window(ids), return_index=True)[1].tolist()
    return [slice(begin, end) for begin, end in itertools.pairwise([*first, len(ids)])]


@dataclass(frozen=True)
class LabelledImages:
    """Images of one split, a row a window. Windows of an image are neighbours and share its id and label.

    images: uint8, (N, C, H, W), C is 1 (grey) or 3 (RGB).
    labels: int64, (N,), an index into `classes`.
    ids: (N,) strings, of an image unique within a dataset (over both splits), stable between runs.
    windows: int32 (N, 4), where each lies in its image, see `workloads.data.windows.Places`; None where every image is
    its one window.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: tuple[str, ...]
    windows: Places | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[1] not in (1, 3):
            raise ValueError(f"images must be uint8 (N, 1 or 3, H, W), found {self.images.dtype} {self.images.shape}")
        if len(self.labels) != n or len(self.ids) != n:
            raise ValueError(f"{n} images, {len(self.labels)} labels and {len(self.ids)} ids do not match")
        if self.windows is None:
            return
        if self.windows.dtype != np.int32 or self.windows.shape != (n, 4):
            raise ValueError(f"windows must be int32 ({n}, 4), found {self.windows.dtype} {self.windows.shape}")
        if n and np.diff(self.image_of_window).min(initial=0) < 0:
            raise ValueError("windows of an image must be neighbours")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_of_window(self) -> NDArray[np.int64]:
        """(N,) int64: the image that each row is a window of, numbered in the order in which images come first: 0, 1,
        2, ... where every image is its one window."""
        return image_of_window(self.ids)

    @property
    def first_windows(self) -> NDArray[np.intp]:
        """(M,) the first row of every image, ascending: what is chosen among where images are, not windows."""
        if self.windows is None:
            return np.arange(len(self))
        return np.unique(self.image_of_window, return_index=True)[1]

    def all_windows(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """All rows, ascending, of the images that any of the rows belong to."""
        if self.windows is None:
            return np.sort(rows)
        numbers = self.image_of_window
        return np.flatnonzero(np.isin(numbers, numbers[rows]))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "LabelledImages":
        """The chosen rows, in the order given (or where a boolean mask is true)."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        windows = None if self.windows is None else self.windows[index]
        return LabelledImages(self.images[index], self.labels[index], tuple(self.ids[i] for i in index), windows)


def joined(parts: Sequence[LabelledImages]) -> LabelledImages:
    """The images of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    windows = None
    if any(part.windows is not None for part in parts):
        windows = np.concatenate([whole_windows(part) if part.windows is None else part.windows for part in parts])
    return LabelledImages(images, labels, tuple(name for part in parts for name in part.ids), windows)


def whole_windows(images: LabelledImages) -> Places:
    """Where windows lie that are whole images."""
    height, width = images.images.shape[2:]
    return np.tile(np.array([0, 0, height, width], np.int32), (len(images), 1))


@dataclass(frozen=True)
class Dataset:
    """A dataset in memory: its class names and its official (or seeded) train and test splits.

    tested_on: target -> the classes (its own among them) whose test images it is tested on; a target that is not in it
    is tested on all, as every target is where it is None.
    masks: uint8 (len(test), H, W), the size of the test windows, 1 where a pixel is anomalous, `region.IGNORED` where
    nobody looks; None where unknown. region: what of every image of a user's folder is ignored.
    val: held-out normal images, where the dataset names them itself; of other classes a seeded part of train is.
    account: of a user's folder, what was not used. white_level: by which its images of more than 8 bits were scaled.
    remarks: what a reader of the results must know of how images were read, in sentences.
    groups: id of an image -> what it shows; images of one group never lie on both sides of a split.
    """

    name: str
    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    tested_on: Mapping[str, tuple[str, ...]] | None = None
    masks: NDArray[np.uint8] | None = None
    val: LabelledImages | None = None
    account: Account | None = None
    white_level: int = DEEPEST
    remarks: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    region: Region | None = None

    def __post_init__(self) -> None:
        unknown = {name for target, names in (self.tested_on or {}).items() for name in (target, *names)}
        unknown -= set(self.classes)
        if unknown:
            raise ValueError(f"tested_on names {', '.join(sorted(unknown))}, which are no classes")
        if self.masks is None:
            return
        expected = (len(self.test), *self.test.images.shape[2:])
        largest = 1 if self.region is None else IGNORED
        if self.masks.dtype != np.uint8 or self.masks.shape != expected or self.masks.max(initial=0) > largest:
            what = f"{self.masks.dtype} {self.masks.shape}"
            raise ValueError(f"masks must be uint8 {expected}, 0 to {largest}, found {what}")


@dataclass(frozen=True)
class AuxiliarySet:
    """A prepared auxiliary set that stays where it is and is streamed: path or URI of its folder, the training images
    that are to be used, and a digest of its content and of these. unchecked: datasets beside it that it was not held
    against when it was prepared, so that it may hold their images."""

    path: str
    images: int
    digest: str
    unchecked: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class AuxiliaryImages:
    """Natural images of any kind, which a general model learns from; labels are `NO_CLASS` throughout.

    train, val: uint8 (N, C, side, side) in the form of the dataset they stand beside, disjoint. duplicates: how many
    were left out because the dataset holds the very same image.
    """

    train: LabelledImages
    val: LabelledImages
    duplicates: int


def out_split(name: str) -> str:
    """The split of an out set's rows."""
    return f"{OUT}/{name}"


def out_name(split: str) -> str:
    """The out set of a split, empty for any other split."""
    group, _, name = split.partition("/")
    return name if group == OUT else ""
