"""A dataset under a protocol, on the host: all its splits, and what counts as normal for which target. No torch."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.data.images import CALIBRATION, AuxiliaryImages, AuxiliarySet, LabelledImages, out_split
from workloads.data.reading.account import Account
from workloads.data.reading.region import Region
from workloads.data.windows import DEEPEST
from workloads.units import GENERAL, ImageShape, TrainingCounts

Bools = NDArray[np.bool_]
AUXILIARY_SPLITS = ("general_train", "general_val")  # as they are stored


@dataclass(frozen=True)
class Targets:
    """What takes the role of normal, and what it is tested on.

    classes: all class names, which labels index. names: the targets, in the order of `classes`. members: target -> the
    classes that are normal for it; a target that is not in it is a class, its only member. tested_on: target -> classes
    whose test images it is tested on; a target that is not in it is tested on all, as every target is where it is None.
    groups: id of an image -> what it shows, see `Dataset`.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tested_on: Mapping[str, tuple[str, ...]] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)

    def members_of(self, target: str) -> tuple[str, ...]:
        """The classes that are normal for a target, in the order in which its own labels count them."""
        return tuple(self.members.get(target, (target,)))

    def normal(self, target: str, labels: NDArray[np.int64]) -> Bools:
        """Which images are normal for a target: (N,) booleans from labels (N,)."""
        return np.isin(labels, self._numbers(self.members_of(target)))

    def tested(self, target: str, labels: NDArray[np.int64]) -> Bools:
        """Which test images a target is tested on: (N,) booleans from labels (N,)."""
        return np.isin(labels, self._numbers((self.tested_on or {}).get(target, self.classes)))

    def among_members(self, target: str, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places (N,) of normal images' labels (N,) among the target's members. Raises ValueError for others."""
        numbers = self._numbers(self.members_of(target))
        return np.array([numbers.index(label) for label in labels.tolist()], np.int64)

    def _numbers(self, names: tuple[str, ...]) -> list[int]:
        return [self.classes.index(name) for name in names]


@dataclass(frozen=True)
class Splits:
    """What every target's detector learns from and is tested on. Images are uint8 (N, C, H, W), of one shape.

    train, val: images of the targets only, disjoint; a target's own are those of its members. test: the test split of
    all classes, less the images that no target is tested on; anomalous iff the class is no member of the target.
    out: images of none of the classes, by out set, anomalous for every target (see `workloads.data.out_sets`).
    auxiliary: images of any kind, for methods that compare with a general model (see `workloads.data.auxiliary`).
    streamed: the same where they are too many to be held. masks: as in `Dataset`, (len(test), H, W). account: as in
    `Dataset`; of what is not in the splits, so no part of their digest. calibration: further images of the targets,
    which neither train nor choose a detector: thresholds rest on them. None where none were set apart.
    white_level, notes, region: as white_level, remarks and region of `Dataset`.
    """

    train: LabelledImages
    val: LabelledImages
    test: LabelledImages
    targets: Targets
    out: Mapping[str, LabelledImages] = field(default_factory=dict)
    auxiliary: AuxiliaryImages | None = None
    streamed: AuxiliarySet | None = None
    masks: NDArray[np.uint8] | None = None
    account: Account | None = None
    calibration: LabelledImages | None = None
    white_level: int = DEEPEST
    notes: tuple[str, ...] = ()
    region: Region | None = None

    def training_images(self, target: str) -> tuple[LabelledImages, LabelledImages]:
        """Train and validation images of one target."""
        train, val = (images.take(self.targets.normal(target, images.labels)) for images in (self.train, self.val))
        return train, val

    def test_images(self, target: str) -> tuple[LabelledImages, NDArray[np.uint8] | None]:
        """What a target is tested on, and the masks; without a copy where it is tested on everything."""
        tested = self.targets.tested(target, self.test.labels)
        if tested.all():
            return self.test, self.masks
        return self.test.take(tested), None if self.masks is None else self.masks[tested]

    def calibration_images(self, target: str) -> LabelledImages | None:
        """A target's images that were set apart for thresholds."""
        images = self.calibration
        return None if images is None else images.take(self.targets.normal(target, images.labels))

    @property
    def shape(self) -> ImageShape:
        return ImageShape(*self.train.images.shape[1:])

    @cached_property
    def counts(self) -> TrainingCounts:
        """Windows of the largest target."""
        images = max(int(self.targets.normal(target, self.train.labels).sum()) for target in self.targets.names)
        if self.streamed is not None:
            return TrainingCounts(images, self.streamed.images)
        return TrainingCounts(images, len(self.auxiliary.train) if self.auxiliary else 0)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the results must know of the images, in sentences."""
        lines = [*self._remarks_on_windows(), *self.notes]
        if self.white_level != DEEPEST:
            lines.append(f"images of more than 8 bits are white from {self.white_level} on")
        if self.auxiliary is not None and self.auxiliary.duplicates:
            lines.append(f"{self.auxiliary.duplicates} auxiliary images are tested, too: left out")
        if self.streamed is not None and self.streamed.unchecked:
            names = ", ".join(self.streamed.unchecked)
            lines.append(f"the prepared auxiliary set was not held against {names}: it may hold images that are tested")
        return tuple(lines)

    def _remarks_on_windows(self) -> Iterator[str]:
        shape = self.shape
        for name, part in (("training", self.train), ("test", self.test)):
            if part.windows is not None:
                images = len(part.first_windows)
                yield f"{images:,} {name} images are {len(part):,} windows of {shape.width} x {shape.height} pixels"
        if self.test.windows is not None:
            yield "an image scores as the most anomalous of its windows"
            if self.out:
                yield "images of out sets are one window each: fewer than most test images have"

    def by_name(self) -> dict[str, LabelledImages]:
        """Every split under the name that its stored shards and its scores carry."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        if self.calibration is not None:
            named[CALIBRATION] = self.calibration
        if self.auxiliary is not None:
            named |= dict(zip(AUXILIARY_SPLITS, (self.auxiliary.train, self.auxiliary.val), strict=True))
        return named | {out_split(name): images for name, images in self.out.items()}

    @cached_property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of everything: pixels, windows, labels, ids, names, targets, masks, other sets.

        The same on every machine; a changed pixel, label or name, or another order, changes it.
        """
        key = _digest(self)
        return key if self.streamed is None else hashlib.sha256(f"{key} {self.streamed.digest}".encode()).hexdigest()

    @cached_property
    def target_digests(self) -> dict[str, str]:
        """Of each target's training images alone, so that asking for other classes, too, finds its stages again.

        Of a target of several classes also their labels: methods may learn from them. `GENERAL` has that of the
        auxiliary set.
        """
        digests = {target: self._target_digest(target) for target in self.targets.names}
        if self.auxiliary is not None:
            digests[GENERAL] = _pixel_digest(self.auxiliary.train.images).hexdigest()[:16]
        if self.streamed is not None:
            digests[GENERAL] = self.streamed.digest
        return digests

    def _target_digest(self, target: str) -> str:
        train = self.train.take(self.targets.normal(target, self.train.labels))
        hashed = _pixel_digest(train.images)
        if train.windows is not None:
            hashed.update(np.ascontiguousarray(train.windows, dtype="<i4").data)
        if target in self.targets.members:
            hashed.update(np.ascontiguousarray(train.labels, dtype="<i8").data)
        return str(hashed.hexdigest()[:16])


def _pixel_digest(images: NDArray[np.uint8]) -> Any:
    """SHA-256 of images and their shape, to be gone on with."""
    hashed = hashlib.sha256(repr(images.shape).encode())
    hashed.update(np.ascontiguousarray(images).data)
    return hashed


def _digest(splits: Splits) -> str:
    """Of all that is held, so without a streamed set."""
    auxiliary = (splits.auxiliary.train, splits.auxiliary.val) if splits.auxiliary else ()
    calibration = () if splits.calibration is None else (splits.calibration,)
    held = (splits.train, splits.val, splits.test, *splits.out.values(), *auxiliary, *calibration)
    targets = splits.targets
    names: dict[str, Any] = {
        "classes": targets.classes,
        "targets": targets.names,
        "shapes": [images.images.shape for images in held],
        "ids": [images.ids for images in held],
    }
    # Named only where there are any: stored results of splits without them are found by the digest as it was before.
    if targets.tested_on is not None:
        names["tested_on"] = dict(targets.tested_on)
    if targets.groups:
        names["groups"] = dict(targets.groups)
    if splits.masks is not None:
        names["masks"] = splits.masks.shape
    if splits.out:
        names["out"] = list(splits.out)
    if targets.members:
        names["members"] = dict(targets.members)
    if splits.auxiliary:
        names["general"] = True
    if calibration:
        names[CALIBRATION] = True
    if any(images.windows is not None for images in held):
        names["windows"] = [images.windows is not None for images in held]
    hashed = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
    hashed.update(b"\0")  # ends the names; the shapes in them say how long each array is
    for images in held:
        hashed.update(np.ascontiguousarray(images.images).data)
        hashed.update(np.ascontiguousarray(images.labels, dtype="<i8").data)
        if images.windows is not None:
            hashed.update(np.ascontiguousarray(images.windows, dtype="<i4").data)
    if splits.masks is not None:
        hashed.update(np.ascontiguousarray(splits.masks).data)
    return hashed.hexdigest()
