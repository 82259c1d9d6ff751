"""The user's own images: class folders, or ``train/`` and ``test/`` with class folders in each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from workloads.data.images import Dataset
from workloads.data.reading.folder import (
    Listed,
    as_dataset,
    check_class_name,
    class_images,
    decode_all,
    visible_folders,
)
from workloads.data.reading.masks import GROUND_TRUTH, masks_folder, read_masks
from workloads.data.shuffling import halves
from workloads.errors import UserError, closest

SPLITS = ("train", "test")


def read_folder(root: Path, *, side: int, seed: int = 0) -> Dataset:
    """The images under `root` as RGB uint8 (N, 3, side, side); ids are paths relative to `root`.

    With ``train/`` and ``test/``: those splits; a class may be in test/ alone (then it can only be an anomaly), and
    masks of the test images are read where there is a ``ground_truth/`` (see `workloads.data.reading.masks`).
    Then every class that is in test/ alone, or has a folder in ground_truth/, must have them; the rest count as
    free of defects.
    Without: a seeded half of every class is train. One class alone is enough. Files that cannot be read, and links that
    lead out of `root`, are left out and named in a warning. Names that begin with a dot, and files not called an
    image's, are passed over.

    Raises UserError for a folder that is not there or has no classes, a class name that is no safe path piece, a
    class with fewer than 2 usable images, where more than one file and more than 5 % cannot be read, and for masks that
    are missing or cannot be used.
    """
    root = _existing(root)
    parts = _split_folders(root)
    listing = [item for split, folder in parts for item in _listed(split, folder, root)]
    classes = tuple(sorted({item.name for item in listing}))
    whole, kept = decode_all(listing, classes, root, side)
    _check_classes(kept, classes, root)
    if len(parts) < len(SPLITS):
        train, test = halves(whole.labels, classes, seed)
        return Dataset("folder", classes, whole.take(train), whole.take(test))
    masks = None
    if (root / GROUND_TRUTH).is_dir():
        learnt = {item.name for item in kept if item.split == "train"}
        normal = {name for name in learnt if not masks_folder(root / "test" / name).is_dir()}
        masks = read_masks([item for item in kept if item.split == "test"], normal, root, side)
    return as_dataset("folder", classes, whole, kept, masks=masks)


def _existing(root: Path) -> Path:
    if root.is_dir():
        return root.resolve()
    near = closest(root.name, (p.name for p in root.parent.iterdir() if p.is_dir())) if root.parent.is_dir() else ""
    raise UserError("there is no such folder", where=str(root), nearest=near, fix="give the folder of your images")


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    """[("train", ...), ("test", ...)], or [("", root)] where the class folders lie in `root` itself."""
    present = [name for name in SPLITS if (root / name).is_dir()]
    if len(present) == len(SPLITS):
        return [(name, root / name) for name in SPLITS]
    # A class may be called "train" (a vehicle), but train/ with folders in it is a split whose other half is missing.
    for name in present:
        if visible_folders(root / name):
            missing = SPLITS[1 - SPLITS.index(name)]
            headline = f"there is {name}/ with class folders in it, but no {missing}/"
            raise UserError(headline, where=str(root), fix=f"add {missing}/")
    return [("", root)]


def _listed(split: str, folder: Path, root: Path) -> list[Listed]:
    """Every image file of a split, sorted by class and file name."""
    folders = {check_class_name(class_folder): class_folder for class_folder in visible_folders(folder)}
    if not folders:
        raise UserError("no class folders in it", where=str(folder), fix="make one folder of images for each class")
    return [Listed(split, name, image) for name, inner in folders.items() for image in class_images(inner, root)]


def _check_classes(kept: Sequence[Listed], classes: tuple[str, ...], root: Path) -> None:
    """At least 2 images to learn from, except where a named split has none: then the class is an anomaly only."""
    learnt = Counter(item.name for item in kept if item.split != "test")
    has_test = any(item.split == "test" for item in kept)
    for name in classes:
        if learnt[name] == 1 or (learnt[name] == 0 and not has_test):
            headline = f"the class {name!r} has {learnt[name]} usable image(s) to learn from"
            raise UserError(headline, where=str(root), fix="add images: at least 2 are needed")
