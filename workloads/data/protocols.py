"""One-class protocol: learn one class without anomalies, be tested on all classes (MLSAD, arXiv 2104.12102, section 4).

A dataset may restrict what a target is tested on: MVTec's textures are tested on their own images. The other protocol,
a whole dataset against others, is in `workloads.data.in_out`; both make a `Split`.

The 90/10 division into train and validation is this project's reading; the paper gives no ratio.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.data.datasets import resize
from workloads.data.images import AuxiliaryImages, Dataset, LabelledImages
from workloads.data.reading.decode import resize_mask
from workloads.data.shuffling import shuffled
from workloads.errors import UserError, closest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """What every target's detector learns from and is tested on. Images are uint8 (N, C, side, side).

    train, val: images of the targets only, disjoint; a target's own are those of its members. test: the test split of
    all classes, less the images that no target is tested on; anomalous iff the class is no member of the target.
    classes: all class names, which labels index. targets: what takes the role of normal, in the order of `classes`.
    members: target -> the classes that are normal for it; a target that is not in it is a class, its only member.
    tested_on: as in `Dataset`, for the targets (see `rows_for`). masks: as in `Dataset`, (len(test), side, side).
    out: images of none of the classes, by out set, anomalous for every target (see `workloads.data.out_sets`).
    auxiliary: images of any kind, for methods that compare with a general model (see `workloads.data.auxiliary`).
    """

    train: LabelledImages
    val: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    tested_on: Mapping[str, tuple[str, ...]] | None = None
    masks: NDArray[np.uint8] | None = None
    out: Mapping[str, LabelledImages] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    auxiliary: AuxiliaryImages | None = None

    def own(self, part: LabelledImages, target: str) -> NDArray[np.bool_]:
        """Which images of a part are normal for `target`: (N,) booleans."""
        return normal_for(part.labels, self.classes, self.members, target)

    def tested(self, target: str) -> LabelledImages:
        """The test images of one target."""
        return self.test.take(rows_for(self.test.labels, self.classes, self.tested_on, target))


def one_class(
    dataset: Dataset,
    *,
    side: int,
    val_fraction: float = 0.1,
    max_train_images: int | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """The one-class split of a dataset, images and masks resized to `side` pixels; the channels stay as they are.

    classes: the targets; None is every class that has training images. val_fraction: of a target's train images, in
    (0, 1); at least 2 are held out of 4 or more, and 1 of fewer. max_train_images: of a target, train and val together,
    chosen by `seed`. A target's split depends on the seed and its own images alone, not on the other targets.

    Raises UserError for an unknown class (with the nearest), for a target with fewer than 2 training images or
    without test images of its own or of another class, and for numbers out of range. A folder of the user's with one
    class alone is taken all the same, with a warning: its detector can score images, and its AUROC is undefined.
    """
    check_numbers(val_fraction, max_train_images)
    targets = _targets(dataset, classes)
    train_rows: list[NDArray[np.intp]] = []
    val_rows: list[NDArray[np.intp]] = []
    for target in targets:
        rows = _target_rows(dataset, target)
        rows = shuffled(rows, "one_class", seed, target)[:max_train_images]
        count = held_out(len(rows), val_fraction)
        val_rows.append(rows[:count])
        train_rows.append(rows[count:])
    tested = np.logical_or.reduce(
        [rows_for(dataset.test.labels, dataset.classes, dataset.tested_on, target) for target in targets]
    )
    test = resized(dataset.test if tested.all() else dataset.test.take(tested), side)
    return Split(
        train=resized(dataset.train.take(np.sort(np.concatenate(train_rows))), side),
        val=resized(dataset.train.take(np.sort(np.concatenate(val_rows))), side),
        test=test,
        classes=dataset.classes,
        targets=targets,
        tested_on=_restricted(dataset.tested_on, targets),
        masks=_resized_masks(dataset.masks, tested, side),
    )


def rows_for(
    labels: NDArray[np.int64], classes: Sequence[str], tested_on: Mapping[str, Sequence[str]] | None, target: str
) -> NDArray[np.bool_]:
    """Which test images `target` is tested on: (N,) booleans from labels (N,), which index `classes`."""
    names = (tested_on or {}).get(target, classes)
    return np.isin(labels, [classes.index(name) for name in names])


def members_of(members: Mapping[str, Sequence[str]], target: str) -> tuple[str, ...]:
    """The classes that are normal for `target`, in the order in which its own labels count them."""
    return tuple(members.get(target, (target,)))


def normal_for(
    labels: NDArray[np.int64], classes: Sequence[str], members: Mapping[str, Sequence[str]], target: str
) -> NDArray[np.bool_]:
    """Which images are normal for `target`: (N,) booleans from labels (N,), which index `classes`."""
    return np.isin(labels, [classes.index(name) for name in members_of(members, target)])


def digest(split: Split) -> str:
    """SHA-256 (64 hex digits) of everything in the split: pixels, labels, ids, names, targets, masks, other sets.

    The same on every machine; a changed pixel, label or name, or another order, changes it.
    """
    general = (split.auxiliary.train, split.auxiliary.val) if split.auxiliary else ()
    parts = (split.train, split.val, split.test, *split.out.values(), *general)
    names: dict[str, Any] = {
        "classes": split.classes,
        "targets": split.targets,
        "shapes": [part.images.shape for part in parts],
        "ids": [part.ids for part in parts],
    }
    # Named only where there are any: stored results of splits without them are found by the digest as it was before.
    if split.tested_on is not None:
        names["tested_on"] = dict(split.tested_on)
    if split.masks is not None:
        names["masks"] = split.masks.shape
    if split.out:
        names["out"] = list(split.out)
    if split.members:
        names["members"] = dict(split.members)
    if split.auxiliary:
        names["general"] = True
    hashed = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
    hashed.update(b"\0")  # ends the names; the shapes in them say how long each array is
    for part in parts:
        hashed.update(np.ascontiguousarray(part.images).data)
        hashed.update(np.ascontiguousarray(part.labels, dtype="<i8").data)
    if split.masks is not None:
        hashed.update(np.ascontiguousarray(split.masks).data)
    return hashed.hexdigest()


def check_numbers(val_fraction: float, max_train_images: int | None) -> None:
    """Raises UserError for a fraction that is none, and for too few images to hold one out."""
    if not 0 < val_fraction < 1:
        raise UserError(f"val_fraction is {val_fraction}", where="val_fraction", fix="give more than 0, less than 1")
    if max_train_images is not None and max_train_images < 2:
        raise UserError(
            f"max_train_images is {max_train_images}", where="max_train_images", fix="give 2 or more: train and val"
        )


def _targets(dataset: Dataset, wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is None:
        learnable = set(np.unique(dataset.train.labels).tolist())
        return tuple(name for label, name in enumerate(dataset.classes) if label in learnable)
    if isinstance(wanted, str) or not wanted:
        raise UserError(
            f"classes is {wanted!r}", where="classes", fix="give a list of class names, or leave it out for all"
        )
    for name in wanted:
        if name not in dataset.classes:
            raise UserError(
                f"{dataset.name} has no class {name!r}",
                where="classes",
                nearest=closest(name, dataset.classes),
                fix=f"use some of {', '.join(dataset.classes)}",
            )
    return tuple(name for name in dataset.classes if name in wanted)


def _target_rows(dataset: Dataset, target: str) -> NDArray[np.intp]:
    """The target's train rows, once it is sure that it can be learnt and tested."""
    label = dataset.classes.index(target)
    rows = np.flatnonzero(dataset.train.labels == label)
    if len(rows) < 2:
        raise UserError(
            f"the class {target!r} has {len(rows)} training image(s), and one is to be held out",
            where=dataset.name,
            fix="add images, or leave this class out of 'classes'",
        )
    labels = dataset.test.labels[rows_for(dataset.test.labels, dataset.classes, dataset.tested_on, target)]
    normal = np.count_nonzero(labels == label)
    if 0 < normal < len(labels):
        return rows
    if normal and dataset.name == "folder" and len(dataset.classes) == 1:
        log.warning(
            "%r is the folder's only class: its detector can be trained and used, but not tested (AUROC undefined)",
            target,
        )
        return rows
    missing = "of another class" if normal else "of its own"
    raise UserError(
        f"the class {target!r} cannot be tested: of {len(labels)} test images none {missing}",
        where=dataset.name,
        fix="add test images: AUROC needs both normal and anomalous ones",
    )


def _restricted(
    tested_on: Mapping[str, tuple[str, ...]] | None, targets: tuple[str, ...]
) -> dict[str, tuple[str, ...]] | None:
    if tested_on is None:
        return None
    return {target: names for target, names in tested_on.items() if target in targets}


def _resized_masks(masks: NDArray[np.uint8] | None, rows: NDArray[np.bool_], side: int) -> NDArray[np.uint8] | None:
    return None if masks is None else np.stack([resize_mask(mask, side) for mask in masks[rows]])


def held_out(n: int, fraction: float) -> int:
    """How many of n images are held out: about the fraction, at least 2 of 4 or more, and 1 of fewer."""
    least = 2 if n >= 4 else 1
    return min(max(round(n * fraction), least), n - least)


def resized(part: LabelledImages, side: int) -> LabelledImages:
    """The same part at `side` x `side` pixels."""
    return LabelledImages(resize(part.images, side), part.labels, part.ids)
