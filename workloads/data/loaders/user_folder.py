"""The user's own images: class folders, or ``train/`` and ``test/`` with class folders in each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import Fit
from workloads.data.copies import without_copies
from workloads.data.images import Dataset
from workloads.data.reading.account import DEFAULT_RULES, FolderRules, Reason, Unused, few_of
from workloads.data.reading.amount import check_memory
from workloads.data.reading.decode import UnreadableError
from workloads.data.reading.folder import GROUND_TRUTH, REGION, Listed, check_file, file_id
from workloads.data.reading.mask_file import read_region
from workloads.data.reading.masks import masks_folder, read_masks
from workloads.data.reading.region import Region
from workloads.data.reading.survey import VAL, Survey, refuse, survey
from workloads.data.reading.windowed import Reading, read_windows, white_level_of_files
from workloads.data.shuffling import halves, halves_of_groups
from workloads.data.windows import Form
from workloads.errors import UserError


def read_folder(
    root: Path,
    *,
    side: int,
    fit: Fit = "crop",
    white_level: int | None = None,
    seed: int = 0,
    rules: FolderRules = DEFAULT_RULES,
) -> Dataset:
    """The images under `root` as RGB windows uint8 (N, 3, side, side); ids are paths relative to `root`.

    With ``train/`` and ``test/``: those splits; a class may be in test/ alone (then it can only be an anomaly), and
    masks of the test images are read where there is a ``ground_truth/`` (see `workloads.data.reading.masks`).
    Then every class that is in test/ alone, or has a folder in ground_truth/, must have them; the rest count as
    free of defects. Images in ``val/`` or ``validation/`` are the held-out normal ones of their classes.
    Without: a seeded half of every class is train, and masks that a table names are read of the other. One class alone
    is enough. Test images that are copies of others are left out (see `workloads.data.copies`). What is not used, of
    whatever reason, is in the dataset's account.

    fit: how an image becomes windows, see `workloads.data.windows.Form`. white_level: of images of more than 8 bits;
    None takes it from those to learn from (see `windowed.white_level`), from all where a seeded half is. What the file
    `REGION` of the folder marks is ignored of every image: all must have its size.

    Raises UserError with everything that is wrong: a folder that is not there or has no classes, a class name that is
    no safe path piece, a class with fewer than 2 usable images or none at all, held-out images of a class that is not
    learnt, where more than one file and more than 5 % cannot be read, and masks that are missing or cannot be used; and
    where so many windows do not fit into memory.
    """
    listed = survey(root, rules)
    refuse(listed.problems)
    classes, root = listed.classes, listed.root
    learnt = (item.file for item in listed.items if item.split in ("", "train"))
    region = region_of(root)
    form = Form(side, side, fit, white_level or white_level_of_files(learnt, root), region)
    check_memory([item.file for item in listed.items], form, root)
    read = read_windows(listed.items, classes, root, form)
    unreadable = [(Reason.BROKEN, name) for name in read.broken]
    _check_classes(listed, read.kept, unreadable)
    if any(item.split for item in listed.items):
        dataset = _official(listed, read, form)
    else:
        dataset = _halved(listed, read, form, seed)
    remarks = (*read.remarks, *dataset.remarks, *(() if region is None else (region_remark(region),)))
    groups = {file_id(item.file, root): item.group for item in read.kept if item.group}
    account = listed.account(unreadable)
    dataset = replace(dataset, account=account, white_level=form.white_level, remarks=remarks, groups=groups)
    return without_copies(dataset, keep=rules.copies == "keep")


def region_of(root: Path) -> Region | None:
    """What the file `REGION` of a resolved folder marks; None without it. Raises UserError where it cannot be used."""
    file = root / REGION
    if not file.exists():
        return None
    try:
        check_file(file, root)
        return read_region(file)
    except UnreadableError as error:
        raise UserError(f"a region to ignore that cannot be used: {error}", where=str(file), fix="mend it") from error


def region_remark(region: Region) -> str:
    return f"{region.ignored.mean():.1%} of every image's pixels are ignored: {REGION} marks them"


def split_in_half(read: Reading, classes: tuple[str, ...], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the images to learn from and to test with: a seeded half of every class, groups on one side."""
    labels, groups = read.images.labels[read.images.first_windows], [item.group for item in read.kept]
    return halves_of_groups(labels, groups, classes, seed) if any(groups) else halves(labels, classes, seed)


def _halved(listed: Survey, read: Reading, form: Form, seed: int) -> Dataset:
    """A seeded half of every class to learn from, the other to test with; classes with masks must have all of them."""
    first, halved = read.images.first_windows, split_in_half(read, listed.classes, seed)
    if not len(halved[1]):
        count = len({item.group for item in read.kept})
        headline = (
            f"nothing is left to test with: the {len(read.kept)} images are of {count} group(s), which stay whole"
        )
        raise UserError(headline, where="group", fix="mend the key `group`, or add images of other groups")
    train, test = (read.images.take(read.images.all_windows(first[half])) for half in halved)
    dataset = Dataset("folder", listed.classes, train, test, region=form.region)
    masked = {item.name for item in read.kept if item.mask}
    if not masked:
        return dataset
    tested = {read.kept[row]: read.sizes[row] for row in halved[1]}
    masks, remarks = read_masks(tested, set(listed.classes) - masked, listed.root, form)
    return replace(dataset, masks=masks, remarks=tuple(remarks))


def _official(listed: Survey, read: Reading, form: Form) -> Dataset:
    """The splits that the folder itself names."""
    train, test, val = (read.of_split(split) for split in ("train", "test", VAL))
    masks, remarks = None, list[str]()
    if (listed.root / GROUND_TRUTH).is_dir() or any(item.mask for item in read.kept):
        learnt = {item.name for item in read.kept if item.split == "train"}
        tested = {item: size for item, size in zip(read.kept, read.sizes, strict=True) if item.split == "test"}
        normal = learnt - {item.name for item in tested if item.mask or masks_folder(item.file.parent).is_dir()}
        masks, remarks = read_masks(tested, normal, listed.root, form)
    val_part = val if len(val) else None
    return Dataset(
        "folder", listed.classes, train, test, masks=masks, val=val_part, remarks=tuple(remarks), region=form.region
    )


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
