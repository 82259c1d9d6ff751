"""The user's own images: class folders, or ``train/`` and ``test/`` with class folders in each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.images import Dataset, LabelledImages
from workloads.data.reading.account import DEFAULT_RULES, FolderRules, Reason, Unused, few_of
from workloads.data.reading.decode import UnreadableError, decode
from workloads.data.reading.folder import Listed, decode_all, file_id
from workloads.data.reading.masks import GROUND_TRUTH, masks_folder, read_masks
from workloads.data.reading.survey import VAL, Survey, refuse, survey
from workloads.data.shuffling import halves
from workloads.errors import UserError


def read_folder(root: Path, *, side: int, seed: int = 0, rules: FolderRules = DEFAULT_RULES) -> Dataset:
    """The images under `root` as RGB uint8 (N, 3, side, side); ids are paths relative to `root`.

    With ``train/`` and ``test/``: those splits; a class may be in test/ alone (then it can only be an anomaly), and
    masks of the test images are read where there is a ``ground_truth/`` (see `workloads.data.reading.masks`).
    Then every class that is in test/ alone, or has a folder in ground_truth/, must have them; the rest count as
    free of defects. Images in ``val/`` or ``validation/`` are the held-out normal ones of their classes.
    Without: a seeded half of every class is train. One class alone is enough. What is not used, of whatever reason, is
    in the dataset's account.

    Raises UserError with everything that is wrong: a folder that is not there or has no classes, a class name that is
    no safe path piece, a class with fewer than 2 usable images or none at all, held-out images of a class that is not
    learnt, where more than one file and more than 5 % cannot be read, and masks that are missing or cannot be used.
    """
    listed = survey(root, rules)
    refuse(listed.problems)
    classes, root = listed.classes, listed.root
    unreadable: list[Unused] = []

    def noted(file: Path, pixels: int) -> NDArray[np.uint8]:
        try:
            return decode(file, pixels)
        except UnreadableError as error:
            unreadable.append((Reason.BROKEN, f"{file_id(file, root)} ({error})"))
            raise

    whole, kept = decode_all(listed.items, classes, root, side, noted)
    _check_classes(listed, kept, unreadable)
    account = listed.account(unreadable)
    if not any(item.split for item in listed.items):
        train, test = halves(whole.labels, classes, seed)
        return Dataset("folder", classes, whole.take(train), whole.take(test), account=account)
    return replace(_official(listed, whole, kept, side), account=account)


def _official(listed: Survey, whole: LabelledImages, kept: Sequence[Listed], side: int) -> Dataset:
    """The splits that the folder itself names."""
    train, test, val = (whole.take(np.asarray([item.split == s for item in kept])) for s in ("train", "test", VAL))
    masks = None
    if (listed.root / GROUND_TRUTH).is_dir():
        learnt = {item.name for item in kept if item.split == "train"}
        tested = [item for item in kept if item.split == "test"]
        normal = learnt - {item.name for item in tested if masks_folder(item.file.parent).is_dir()}
        masks = read_masks(tested, normal, listed.root, side)
    return Dataset("folder", listed.classes, train, test, masks=masks, val=val if len(val) else None)


def _check_classes(listed: Survey, kept: Sequence[Listed], unreadable: Sequence[Unused]) -> None:
    """Readable images of every class of every split, and at least 2 to learn from, except where a named split has none:
    then the class is an anomaly only."""
    there, usable = ({(item.split, item.name) for item in items} for items in (listed.items, kept))
    for split, name in sorted(there - usable):
        whose = f"{split}/{name}" if split else name
        headline = f"no image of {whose!r} can be read: {few_of([name for _, name in unreadable])}"
        raise UserError(headline, where=str(listed.root), fix="mend these files, or name them in the key `ignore`")
    learnt = Counter(item.name for item in kept if item.split in ("", "train"))
    splits = {item.split for item in kept}
    for name in listed.classes:
        if learnt[name] == 1 or (learnt[name] == 0 and "test" not in splits):
            headline = f"the class {name!r} has {learnt[name]} usable image(s) to learn from"
            raise UserError(headline, where=str(listed.root), fix="add images: at least 2 are needed")
