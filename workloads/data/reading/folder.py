"""What all readers of class folders share: which files are images, decoding them, and reporting those that fail."""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from workloads.data.images import Dataset, LabelledImages
from workloads.data.reading.account import SUFFIXES, escaped, few_of, unused_by_name
from workloads.data.reading.decode import UnreadableError, decode
from workloads.errors import UserError
from workloads.units import GENERAL

log = logging.getLogger(__name__)

CLASS_NAME = re.compile(r"[A-Za-z0-9._-]+")
GROUND_TRUTH = "ground_truth"
"""The folder of masks, beside ``train`` and ``test``."""
REGION = "ignore.png"
"""A file of a user's folder that marks, as a mask, what of every image is ignored."""
RESERVED = ("mean", "all", "fake", GENERAL)
MAX_UNREADABLE = 0.05  # of all files; a single bad file never stops a run
Item = TypeVar("Item")
Image = TypeVar("Image")


class Listed(NamedTuple):
    """An image file, the split it is in ("" where none is named) and its class. group: what it shows is seen in other
    images of this group, too; "" for an image alone. mask: its file where a table names it."""

    split: str
    name: str
    file: Path
    group: str = ""
    mask: Path | None = None


def visible_folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted, without those whose name begins with a dot."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def check_class_name(folder: Path) -> str:
    """The folder's name. Raises UserError where it cannot be a class, see `class_name_problem`."""
    if problem := class_name_problem(folder.name, folder):
        raise problem
    return folder.name


def class_name_problem(name: str, folder: Path) -> UserError | None:
    """Why the images of a folder cannot be a class of this name: unsafe in paths, or a word of the tables."""
    names = f"names = {{{escaped(folder.name)!r}: 'a_name'}}"
    if name in RESERVED:
        headline = f"a class cannot be called {name!r}: that word has another meaning"
        return UserError(headline, where=escaped(str(folder)), fix=f"rename it, or say in the space's data: {names}")
    if CLASS_NAME.fullmatch(name):
        return None
    headline = f"the class name {escaped(name)!r} is not safe in paths and metric names"
    fix = f"rename it with letters, digits, '.', '_' and '-' only, or say in the space's data: {names}"
    return UserError(headline, where=escaped(str(folder)), fix=fix)


def class_images(folder: Path, root: Path) -> list[Path]:
    """The image files of one class folder under the resolved `root`, sorted by name.

    Raises UserError where the folder leads out of `root`, has folders in it, or no images.
    """
    if not folder.resolve().is_relative_to(root):
        raise UserError("a class folder that links out of the data is not followed", where=str(folder))
    if inner := visible_folders(folder):
        headline = f"the class folder {folder.name!r} has a folder {inner[0].name!r} in it"
        raise UserError(headline, where=str(folder), fix="put a class's images directly into its folder")
    files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    images = [p for p in files if p.suffix.lower() in SUFFIXES]
    if len(images) < len(files):
        log.warning("%s: passed over %d files that are no images", folder, len(files) - len(images))
    if not images:
        fix = f"remove it, or add images ({' '.join(sorted(SUFFIXES))})"
        raise UserError(f"the class folder {folder.name!r} has no images in it", where=str(folder), fix=fix)
    return images


def images_under(folder: Path) -> list[Path]:
    """The image files in a folder and the folders in it, sorted, by the rule of `account.unused_by_name`."""
    return sorted(p for p in folder.rglob("*") if unused_by_name(p.relative_to(folder).as_posix()) is None)


Reader = Callable[[Path, int], NDArray[np.uint8]]
"""From a file and a side to an image, RGB uint8 (3, side, side). Raises UnreadableError."""


def decode_all(
    listing: Sequence[Listed], classes: tuple[str, ...], root: Path, side: int, read: Reader = decode
) -> tuple[LabelledImages, list[Listed]]:
    """The readable images, RGB uint8 (N, 3, side, side), ids relative to `root`; and the rows of `listing` they are.

    Files that cannot be read, and links that lead out of `root`, are left out and named in a warning.
    Raises UserError where more than one file and more than 5 % cannot be read, and for a side below 1.
    """
    if side < 1:
        raise UserError(f"a side of {side} pixels", where="side", fix="give 1 or more")

    def image_of(item: Listed) -> NDArray[np.uint8]:
        check_file(item.file, root)
        return read(item.file, side)

    images, kept, _ = readable(listing, image_of, lambda item: file_id(item.file, root), root)
    labels = np.asarray([classes.index(item.name) for item in kept], dtype=np.int64)
    return LabelledImages(np.stack(images), labels, tuple(file_id(item.file, root) for item in kept)), kept


def readable(
    items: Iterable[Item], read: Callable[[Item], Image], name: Callable[[Item], str], root: Path
) -> tuple[list[Image], list[Item], list[str]]:
    """The images of the items that `read` does not raise UnreadableError for, these items, and the others' names.

    The others are named in a warning. Raises UserError where more than one and more than 5 % are.
    """
    images: list[Image] = []
    kept: list[Item] = []
    bad: list[str] = []
    for item in items:
        try:
            images.append(read(item))
            kept.append(item)
        except UnreadableError as error:
            bad.append(f"{name(item)} ({error})")
    total = len(kept) + len(bad)
    if bad and (len(bad) == total or len(bad) > max(1, MAX_UNREADABLE * total)):
        headline = f"{len(bad)} of {total} image files cannot be used: {few_of(bad)}"
        raise UserError(headline, where=str(root), fix="mend or remove these files")
    if bad:
        log.warning("left out %d of %d image files under %s: %s", len(bad), total, root, escaped(few_of(bad)))
    return images, kept, bad


def as_dataset(
    name: str, classes: tuple[str, ...], images: LabelledImages, kept: Sequence[Listed], **facts: Any
) -> Dataset:
    """The images of `kept`, in its order, as a dataset: those listed as ``test`` are, all others train."""
    tested = np.asarray([item.split == "test" for item in kept], bool)[images.image_of_window]
    return Dataset(name, classes, images.take(~tested), images.take(tested), **facts)


def check_file(file: Path, root: Path) -> None:
    """Raises UnreadableError for what must not be opened: links out of the resolved `root`, and no regular files."""
    if not file.resolve().is_relative_to(root):
        raise UnreadableError("links out of the data folder")
    if not file.is_file():  # opening a named pipe would wait for ever
        raise UnreadableError("no regular file")


def file_id(file: Path, root: Path) -> str:
    """The path relative to `root`, escaped."""
    return escaped(file.relative_to(root).as_posix())
