"""The user's own images: class folders, or ``train/`` and ``test/`` with class folders in each."""

import logging
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.decode import UnreadableError, decode
from workloads.data.images import Dataset, LabelledImages
from workloads.data.splits import halves
from workloads.errors import BadInputError, closest

log = logging.getLogger(__name__)

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"))
CLASS_NAME = re.compile(r"[A-Za-z0-9._-]+")
RESERVED = ("mean", "all", "fake")
SPLITS = ("train", "test")
MAX_UNREADABLE = 0.05  # of all files; a single bad file never stops a run
NAMED = 5  # bad files that a message names


def read_folder(root: Path, *, side: int, seed: int = 0) -> Dataset:
    """The images under `root` as RGB uint8 (N, 3, side, side); ids are paths relative to `root`.

    With ``train/`` and ``test/``: those splits; a class may be in test/ alone (then it can only be an anomaly).
    Without: a seeded half of every class is train. Files that cannot be read, and links that lead out of `root`, are
    left out and named in a warning. Names that begin with a dot, and files not called an image's, are passed over.

    Raises BadInputError for a folder that is not there or has no classes, a class name that is no safe path piece, a
    class with fewer than 2 usable images, and where more than one file and more than 5 % cannot be read.
    """
    if side < 1:
        raise BadInputError(f"a side of {side} pixels", where="side", fix="give 1 or more")
    root = _existing(root)
    parts = _split_folders(root)
    listing = [(split, name, file) for split, folder in parts for name, file in _class_files(folder, root)]
    classes = tuple(sorted({name for _, name, _ in listing}))
    whole, splits = _decode_all(listing, classes, root, side)
    _check_classes(whole, splits, classes, root)
    if len(parts) == len(SPLITS):
        named = np.asarray(splits)
        return Dataset("folder", classes, whole.take(named == "train"), whole.take(named == "test"))
    train, test = halves(whole.labels, classes, seed)
    return Dataset("folder", classes, whole.take(train), whole.take(test))


def _existing(root: Path) -> Path:
    if root.is_dir():
        return root.resolve()
    near = closest(root.name, (p.name for p in root.parent.iterdir() if p.is_dir())) if root.parent.is_dir() else ""
    raise BadInputError("there is no such folder", where=str(root), nearest=near, fix="give the folder of your images")


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    """[("train", ...), ("test", ...)], or [("", root)] where the class folders lie in `root` itself."""
    present = [name for name in SPLITS if (root / name).is_dir()]
    if len(present) == len(SPLITS):
        return [(name, root / name) for name in SPLITS]
    # A class may be called "train" (a vehicle), but train/ with folders in it is a split whose other half is missing.
    for name in present:
        if _visible_folders(root / name):
            missing = SPLITS[1 - SPLITS.index(name)]
            raise BadInputError(
                f"there is {name}/ with class folders in it, but no {missing}/", where=str(root), fix=f"add {missing}/"
            )
    return [("", root)]


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _class_files(folder: Path, root: Path) -> list[tuple[str, Path]]:
    """(class name, file) of every image file, sorted by class and file name."""
    found: list[tuple[str, Path]] = []
    for class_folder in _visible_folders(folder):
        name = class_folder.name
        if name in RESERVED:
            raise BadInputError(
                f"a class cannot be called {name!r}: the tables use that word", where=str(class_folder), fix="rename it"
            )
        if not CLASS_NAME.fullmatch(name):
            raise BadInputError(
                f"the class name {name!r} is not safe in paths and metric names",
                where=str(class_folder),
                fix="rename the folder with letters, digits, '.', '_' and '-' only",
            )
        if not class_folder.resolve().is_relative_to(root):
            raise BadInputError("a class folder that links out of the data is not followed", where=str(class_folder))
        inner = _visible_folders(class_folder)
        if inner:
            raise BadInputError(
                f"the class folder {name!r} has a folder {inner[0].name!r} in it",
                where=str(class_folder),
                fix="put a class's images directly into its folder",
            )
        files = sorted(p for p in class_folder.iterdir() if not p.name.startswith("."))
        images = [p for p in files if p.suffix.lower() in SUFFIXES]
        if len(images) < len(files):
            log.warning("%s: passed over %d files that are no images", class_folder, len(files) - len(images))
        if not images:
            raise BadInputError(
                f"the class folder {name!r} has no images in it",
                where=str(class_folder),
                fix=f"remove it, or add images ({' '.join(sorted(SUFFIXES))})",
            )
        found += [(name, image) for image in images]
    if not found:
        raise BadInputError("no class folders in it", where=str(folder), fix="make one folder of images for each class")
    return found


def _decode_all(
    listing: list[tuple[str, str, Path]], classes: tuple[str, ...], root: Path, side: int
) -> tuple[LabelledImages, list[str]]:
    """The readable images, and the split of each."""
    images: list[NDArray[np.uint8]] = []
    kept: list[tuple[str, str, Path]] = []
    bad: list[str] = []
    for split, name, file in listing:
        try:
            images.append(_decode_inside(file, root, side))
            kept.append((split, name, file))
        except UnreadableError as error:
            bad.append(f"{_image_id(file, root)} ({error})")
    _report(bad, len(listing), root)
    labels = np.asarray([classes.index(name) for _, name, _ in kept], dtype=np.int64)
    ids = tuple(_image_id(file, root) for _, _, file in kept)
    return LabelledImages(np.stack(images), labels, ids), [split for split, _, _ in kept]


def _decode_inside(file: Path, root: Path, side: int) -> NDArray[np.uint8]:
    if not file.resolve().is_relative_to(root):
        raise UnreadableError("links out of the data folder")
    if not file.is_file():  # opening a named pipe would wait for ever
        raise UnreadableError("no regular file")
    return decode(file, side)


def _image_id(file: Path, root: Path) -> str:
    # File names may be any bytes; the score table holds UTF-8 only.
    return os.fsencode(file.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _report(bad: list[str], total: int, root: Path) -> None:
    if not bad:
        return
    named = "; ".join(bad[:NAMED]) + ("; ..." if len(bad) > NAMED else "")
    if len(bad) == total or len(bad) > max(1, MAX_UNREADABLE * total):
        raise BadInputError(
            f"{len(bad)} of {total} image files cannot be used: {named}",
            where=str(root),
            fix="mend or remove these files",
        )
    log.warning("left out %d of %d image files under %s: %s", len(bad), total, root, named)


def _check_classes(whole: LabelledImages, splits: list[str], classes: tuple[str, ...], root: Path) -> None:
    """At least 2 images to learn from, except where a named split has none: then the class is an anomaly only."""
    learnt = Counter(classes[label] for label, split in zip(whole.labels, splits, strict=True) if split != "test")
    for name in classes:
        if learnt[name] == 1 or (learnt[name] == 0 and "test" not in splits):
            raise BadInputError(
                f"the class {name!r} has {learnt[name]} usable image(s) to learn from",
                where=str(root),
                fix="add images: at least 2 are needed",
            )
