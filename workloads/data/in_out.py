"""In-versus-out protocol: learn a whole dataset, be tested against other datasets (Schirrmeister et al., 2006.10848).

One target, named after the dataset, whose members are all classes that there are images to learn from. Its own test
images are normal; the anomalies are the out sets. In a user's folder the classes that are in test/ alone are anomalies,
too.
"""

import numpy as np

from workloads.data.images import Dataset
from workloads.data.protocols import beside, check_numbers, chosen_images, divided, named_val, resized, set_apart
from workloads.data.shuffling import shuffled
from workloads.data.splits import Splits, Targets
from workloads.errors import UserError


def in_out(
    dataset: Dataset,
    *,
    side: int,
    val_fraction: float = 0.1,
    calibration_fraction: float = 0.0,
    max_train_images: int | None = None,
    seed: int = 0,
) -> Splits:
    """The splits whose one target is the whole dataset, images resized to `side` pixels; the channels stay as they are.

    val_fraction: of all train images, in (0, 1); at least 2 are held out of 4 or more, and 1 of fewer; where the
    dataset names held-out images itself, those are. calibration_fraction: of them, set apart for thresholds.
    max_train_images: of the whole dataset, all of these together, chosen by `seed`, whatever their classes. Masks are
    left out: there are none of out sets.

    Raises UserError for fewer than 2 training images, for no normal test image, and for numbers out of range.
    """
    check_numbers(val_fraction, max_train_images, calibration_fraction)
    named = named_val(dataset, None, val_fraction, max_train_images, seed)
    rows = beside(named, shuffled(dataset.train.first_windows, "in_out", seed, dataset.name), max_train_images)
    learnt = set(np.unique(dataset.train.labels).tolist())
    members = tuple(name for label, name in enumerate(dataset.classes) if label in learnt)
    if len(rows) < 2:
        raise UserError(
            f"{dataset.name} has {len(rows)} training image(s) here, and one is to be held out",
            where=dataset.name,
            fix="add training images; as it is it can only be an out set",
        )
    if not np.isin(dataset.test.labels, list(learnt)).any():
        raise UserError(
            f"{dataset.name} cannot be tested: none of its {len(dataset.test)} test images is normal",
            where=dataset.name,
            fix="add test images",
        )
    val, calibration, train = divided(dataset, rows, val_fraction, calibration_fraction, named=bool(named))
    return Splits(
        train=resized(chosen_images(dataset, train), side),
        val=resized(named or chosen_images(dataset, val), side),
        test=resized(dataset.test, side),
        targets=Targets(dataset.classes, (dataset.name,), {dataset.name: members}, groups=dataset.groups),
        calibration=set_apart(dataset, calibration, side),
    )
