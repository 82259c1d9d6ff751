"""One-class protocol: learn one class without anomalies, be tested on all classes (MLSAD, arXiv 2104.12102, section 4).

The 90/10 division into train and validation is this project's reading; the paper gives no ratio.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.data.datasets import resize
from workloads.data.images import Dataset, LabelledImages
from workloads.data.splits import shuffled
from workloads.errors import BadInputError, closest


@dataclass(frozen=True)
class OneClassSplit:
    """What every target's detector learns from and is tested on. Images are uint8 (N, C, side, side).

    train, val: images of the targets only, disjoint; a target's own are those with its label. test: the whole test
    split of all classes, the same for every target; anomalous iff the label is not the target's. classes: all class
    names, which labels index. targets: those that take the role of normal, in the order of `classes`. out: images of
    none of the classes, by out set, anomalous for every target (see `workloads.data.out`).
    """

    train: LabelledImages
    val: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    out: Mapping[str, LabelledImages] = field(default_factory=dict)


def one_class(
    dataset: Dataset,
    *,
    side: int,
    val_fraction: float = 0.1,
    max_train_images: int | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> OneClassSplit:
    """The one-class split of a dataset, its images resized to `side` pixels; the channels stay as they are.

    classes: the targets; None is every class that has training images. val_fraction: of a target's train images, in
    (0, 1); at least 2 are held out of 4 or more, and 1 of fewer. max_train_images: of a target, train and val together,
    chosen by `seed`. A target's split depends on the seed and its own images alone, not on the other targets.

    Raises BadInputError for an unknown class (with the nearest), for a target with fewer than 2 training images or
    without test images of its own or of another class, and for numbers out of range.
    """
    if not 0 < val_fraction < 1:
        raise BadInputError(
            f"val_fraction is {val_fraction}", where="val_fraction", fix="give more than 0, less than 1"
        )
    if max_train_images is not None and max_train_images < 2:
        raise BadInputError(
            f"max_train_images is {max_train_images}", where="max_train_images", fix="give 2 or more: train and val"
        )
    targets = _targets(dataset, classes)
    train_rows: list[NDArray[np.intp]] = []
    val_rows: list[NDArray[np.intp]] = []
    for target in targets:
        rows = _target_rows(dataset, target)
        rows = shuffled(rows, "one_class", seed, target)[:max_train_images]
        held_out = _held_out(len(rows), val_fraction)
        val_rows.append(rows[:held_out])
        train_rows.append(rows[held_out:])
    return OneClassSplit(
        train=_resized(dataset.train.take(np.sort(np.concatenate(train_rows))), side),
        val=_resized(dataset.train.take(np.sort(np.concatenate(val_rows))), side),
        test=_resized(dataset.test, side),
        classes=dataset.classes,
        targets=targets,
    )


def digest(split: OneClassSplit) -> str:
    """SHA-256 (64 hex digits) of everything in the split: shapes, pixels, labels, ids, class names, targets, out sets.

    The same on every machine; a changed pixel, label or name, or another order, changes it.
    """
    parts = (split.train, split.val, split.test, *split.out.values())
    names: dict[str, Any] = {
        "classes": split.classes,
        "targets": split.targets,
        "shapes": [part.images.shape for part in parts],
        "ids": [part.ids for part in parts],
    }
    if split.out:  # only then: what was stored before there were out sets must be found again
        names["out"] = list(split.out)
    hashed = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
    hashed.update(b"\0")  # ends the names; the shapes in them say how long each array is
    for part in parts:
        hashed.update(np.ascontiguousarray(part.images).data)
        hashed.update(np.ascontiguousarray(part.labels, dtype="<i8").data)
    return hashed.hexdigest()


def _targets(dataset: Dataset, wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is None:
        learnable = set(np.unique(dataset.train.labels).tolist())
        return tuple(name for label, name in enumerate(dataset.classes) if label in learnable)
    if isinstance(wanted, str) or not wanted:
        raise BadInputError(
            f"classes is {wanted!r}", where="classes", fix="give a list of class names, or leave it out for all"
        )
    for name in wanted:
        if name not in dataset.classes:
            raise BadInputError(
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
        raise BadInputError(
            f"the class {target!r} has {len(rows)} training image(s), and one is to be held out",
            where=dataset.name,
            fix="add images, or leave this class out of 'classes'",
        )
    normal = np.count_nonzero(dataset.test.labels == label)
    if normal in (0, len(dataset.test)):
        missing = "none of its own" if normal == 0 else "none of another class"
        raise BadInputError(
            f"the class {target!r} cannot be tested: of {len(dataset.test)} test images {missing}",
            where=dataset.name,
            fix="add test images: AUROC needs both normal and anomalous ones",
        )
    return rows


def _held_out(n: int, fraction: float) -> int:
    least = 2 if n >= 4 else 1
    return min(max(round(n * fraction), least), n - least)


def _resized(part: LabelledImages, side: int) -> LabelledImages:
    return LabelledImages(resize(part.images, side), part.labels, part.ids)
