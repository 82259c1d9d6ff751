"""The images of class folders as windows of one form, in memory, with what a reader of the results must know of it."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workloads.data.images import LabelledImages
from workloads.data.reading.account import few_of
from workloads.data.reading.decode import UnreadableError, decode_windows, largest_value, white_level_of
from workloads.data.reading.folder import Listed, check_file, file_id, readable
from workloads.data.windows import DEEPEST, Form, Windowed
from workloads.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """Images that could be read. images: a row a window. kept: where each image is listed; sizes: its height and width.
    broken: the other files, each "name (why)". remarks: what a reader of the results must know."""

    images: LabelledImages
    kept: tuple[Listed, ...]
    sizes: tuple[tuple[int, int], ...]
    broken: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def of_split(self, split: str) -> LabelledImages:
        """The images that are listed in a split."""
        listed = np.asarray([item.split == split for item in self.kept], bool)
        return self.images.take(listed[self.images.image_of_window])


def read_windows(listing: Sequence[Listed], classes: tuple[str, ...], root: Path, form: Form) -> Reading:
    """The readable images as windows of the form, RGB uint8 (N, 3, h, w), ids relative to `root`.

    Files that cannot be read, and links that lead out of `root`, are left out and named in a warning. Raises UserError
    as `folder.readable` does, and for a side below 1.
    """
    if min(form.height, form.width) < 1:
        raise UserError(f"a side of {min(form.height, form.width)} pixels", where="side", fix="give 1 or more")

    def read(item: Listed) -> Windowed:
        check_file(item.file, root)
        return decode_windows(item.file, form)

    read_images, kept, broken = readable(listing, read, lambda item: file_id(item.file, root), root)
    counts = [len(image.windows) for image in read_images]
    rows = np.repeat(np.arange(len(kept)), counts)
    ids = [file_id(item.file, root) for item in kept]
    labels = np.asarray([classes.index(item.name) for item in kept], np.int64)
    images = LabelledImages(
        np.concatenate([image.windows for image in read_images]),
        labels[rows],
        tuple(ids[row] for row in rows),
        None if len(rows) == len(kept) else np.concatenate([image.layout.places for image in read_images]),
    )
    clipped = [(image.clipped, name) for image, name in zip(read_images, ids, strict=True) if image.clipped]
    sizes = tuple((image.height, image.width) for image in read_images)
    return Reading(images, tuple(kept), sizes, tuple(broken), tuple(_clipped(clipped, form.white_level)))


def _clipped(images: Sequence[tuple[float, str]], white_level: int) -> Iterable[str]:
    if not images:
        return
    names = few_of([f"{name} ({share:.1%} of its pixels)" for share, name in sorted(images, reverse=True)])
    sentence = f"{len(images)} images hold values above the white level of {white_level}, which become white: {names}"
    log.warning("%s", sentence)
    yield sentence


def white_level_of_files(files: Iterable[Path], root: Path) -> int:
    """The white level of images of more than 8 bits, from those of them that are learnt from: the largest value of 8,
    10, 12, 14 or 16 bits, as few as hold every value of theirs. `DEEPEST` where none is so deep."""
    values = []
    for file in files:
        try:
            check_file(file, root)
            values.append(largest_value(file))
        except UnreadableError:
            continue  # named when it is read
    deep = [value for value in values if value is not None]
    return white_level_of(max(deep)) if deep else DEEPEST
