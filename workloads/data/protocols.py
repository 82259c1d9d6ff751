"""One-class protocol: learn one class without anomalies, be tested on all classes (MLSAD, arXiv 2104.12102, section 4).

A dataset may restrict what a target is tested on: MVTec's textures are tested on their own images. The other protocol,
a whole dataset against others, is in `workloads.data.in_out`; both make `Splits`.

The 90/10 division into train and validation is this project's reading; the paper gives no ratio.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.data.conform import conform
from workloads.data.images import Dataset, LabelledImages, joined
from workloads.data.reading.mask_file import resize_mask
from workloads.data.shuffling import shuffled, together
from workloads.data.splits import Splits, Targets
from workloads.errors import UserError, closest
from workloads.units import ImageShape

log = logging.getLogger(__name__)


def one_class(
    dataset: Dataset,
    *,
    side: int,
    val_fraction: float = 0.1,
    calibration_fraction: float = 0.0,
    max_train_images: int | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> Splits:
    """The one-class splits of a dataset, images and masks resized to `side` pixels; the channels stay as they are.

    classes: the targets; None is every class that has training images. val_fraction: of a target's train images, in
    (0, 1); at least 2 are held out of 4 or more, and 1 of fewer; of a target for which the dataset names held-out
    images itself, those are. calibration_fraction: of them, set apart for thresholds. max_train_images: of a target,
    all of these together, chosen by `seed`. All windows of an image are on one side. A target's split depends on the
    seed and its own images alone, not on the other targets.

    Raises UserError for an unknown class (with the nearest), for a target with fewer than 2 training images or
    without test images of its own or of another class, and for numbers out of range. A folder of the user's with one
    class alone is taken all the same, with a warning: its detector can score images, and its AUROC is undefined.
    """
    check_numbers(val_fraction, max_train_images, calibration_fraction)
    targets = _targets(dataset, classes)
    train_rows: list[NDArray[np.intp]] = []
    val_parts: list[LabelledImages] = []
    val_rows: list[NDArray[np.intp]] = []
    calibration_rows: list[NDArray[np.intp]] = []
    for target in targets.names:
        rows = shuffled(_target_rows(dataset, targets, target), "one_class", seed, target)
        if named := named_val(dataset, target, val_fraction, max_train_images, seed):
            val_parts.append(named)
        rows = beside(named, rows, max_train_images)
        val, calibration, train = divided(dataset, rows, val_fraction, calibration_fraction, named=bool(named))
        val_rows.append(val)
        calibration_rows.append(calibration)
        train_rows.append(train)
    if any(map(len, val_rows)):
        val_parts.insert(0, chosen_images(dataset, np.concatenate(val_rows)))
    tested = np.logical_or.reduce([targets.tested(target, dataset.test.labels) for target in targets.names])
    test = resized(dataset.test if tested.all() else dataset.test.take(tested), side)
    return Splits(
        train=resized(chosen_images(dataset, np.concatenate(train_rows)), side),
        val=resized(joined(val_parts), side),
        test=test,
        targets=targets,
        masks=_resized_masks(dataset.masks, tested, side),
        calibration=set_apart(dataset, np.concatenate(calibration_rows), side),
    )


def check_numbers(val_fraction: float, max_train_images: int | None, calibration_fraction: float = 0.0) -> None:
    """Raises UserError for a fraction that is none, and for too few images to hold one out."""
    if not 0 < val_fraction < 1:
        raise UserError(f"val_fraction is {val_fraction}", where="val_fraction", fix="give more than 0, less than 1")
    if calibration_fraction < 0 or val_fraction + calibration_fraction >= 1:
        raise UserError(
            f"calibration_fraction is {calibration_fraction}",
            where="calibration_fraction",
            fix="give 0 or more, together with val_fraction less than 1",
        )
    if max_train_images is not None and max_train_images < 2:
        raise UserError(
            f"max_train_images is {max_train_images}", where="max_train_images", fix="give 2 or more: train and val"
        )


def _targets(dataset: Dataset, wanted: Sequence[str] | None) -> Targets:
    names = _target_names(dataset, wanted)
    if dataset.tested_on is None:
        return Targets(dataset.classes, names, groups=dataset.groups)
    tested_on = {target: classes for target, classes in dataset.tested_on.items() if target in names}
    return Targets(dataset.classes, names, tested_on=tested_on, groups=dataset.groups)


def _target_names(dataset: Dataset, wanted: Sequence[str] | None) -> tuple[str, ...]:
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


def _target_rows(dataset: Dataset, targets: Targets, target: str) -> NDArray[np.intp]:
    """The first row of each of the target's train images, once it is sure that it can be learnt and tested."""
    label = dataset.classes.index(target)
    rows = dataset.train.first_windows
    rows = rows[dataset.train.labels[rows] == label]
    if len(rows) < 2:
        raise UserError(
            f"the class {target!r} has {len(rows)} training image(s), and one is to be held out",
            where=dataset.name,
            fix="add images, or leave this class out of 'classes'",
        )
    labels = dataset.test.labels[dataset.test.first_windows]
    labels = labels[targets.tested(target, labels)]
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


def named_val(
    dataset: Dataset, target: str | None, val_fraction: float, limit: int | None, seed: int
) -> LabelledImages | None:
    """The held-out images that the dataset names itself, of a target (None: of all classes), None where it names none.
    limit: of train and val together; of it these have their fraction at the utmost."""
    if dataset.val is None:
        return None
    rows = dataset.val.first_windows
    if target is not None:
        rows = rows[dataset.val.labels[rows] == dataset.classes.index(target)]
    if limit is not None:
        rows = shuffled(rows, "val", seed, target or dataset.name)[: held_out(limit, val_fraction)]
    return dataset.val.take(dataset.val.all_windows(rows)) if len(rows) else None


def beside(named: LabelledImages | None, rows: NDArray[np.intp], limit: int | None) -> NDArray[np.intp]:
    """The first rows, of as many as the limit on train and val together leaves beside the named held-out images."""
    return rows[: limit and limit - (len(named.first_windows) if named else 0)]


def _resized_masks(masks: NDArray[np.uint8] | None, rows: NDArray[np.bool_], side: int) -> NDArray[np.uint8] | None:
    return None if masks is None else np.stack([resize_mask(mask, side, side) for mask in masks[rows]])


def held_out(n: int, fraction: float) -> int:
    """How many of n images are held out: about the fraction, at least 2 of 4 or more, and 1 of fewer."""
    least = 2 if n >= 4 else 1
    return min(max(round(n * fraction), least), n - least)


def divided(
    dataset: Dataset, rows: NDArray[np.intp], val_fraction: float, calibration_fraction: float, *, named: bool = False
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Rows in a seeded order as validation, calibration and training ones; at least 2 train where there are as many.

    named: whether the validation images are others, so that none of these are. Images of a group of the dataset stay
    together, so that more may be held out. Raises UserError where then nothing is left to learn from.
    """
    val = 0 if named else held_out(len(rows), val_fraction)
    calibration = min(round(len(rows) * calibration_fraction), max(0, len(rows) - val - 2))
    if calibration_fraction and not calibration:
        message = "calibration_fraction %g of %d training images is none: no threshold"
        log.warning(message, calibration_fraction, len(rows))
    if not dataset.groups:
        return rows[:val], rows[val : val + calibration], rows[val + calibration :]
    groups = [dataset.groups.get(dataset.train.ids[row], "") for row in rows]
    rows, (val, end) = together(rows, groups, (val, calibration))
    if end == len(rows):
        raise UserError(
            f"nothing is left to learn from: the {len(rows)} training images are of {len(set(groups))} group(s)",
            where="group",
            fix="add images of other groups, no copies of these, name some in val/, or lower the fractions",
        )
    return rows[:val], rows[val:end], rows[end:]


def chosen_images(dataset: Dataset, rows: NDArray[np.intp]) -> LabelledImages:
    """Training images in the dataset's order, from the first rows of theirs, with all their windows."""
    return dataset.train.take(dataset.train.all_windows(rows))


def set_apart(dataset: Dataset, rows: NDArray[np.intp], side: int) -> LabelledImages | None:
    """The calibration images, in the dataset's order; None where there are none."""
    return resized(chosen_images(dataset, rows), side) if len(rows) else None


def resized(part: LabelledImages, side: int) -> LabelledImages:
    """The same part, its windows of `side` x `side` pixels."""
    shape = ImageShape(part.images.shape[1], side, side)
    return LabelledImages(conform(part.images, shape), part.labels, part.ids, part.windows)
