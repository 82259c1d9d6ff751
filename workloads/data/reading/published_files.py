"""What the loaders of published files share: checksums, patient downloads, ids."""

import contextlib
import hashlib
import logging
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.images import Dataset, LabelledImages
from workloads.errors import UserError, data_missing

log = logging.getLogger(__name__)

REFETCH = "delete the file and fetch it again"
TIMEOUT = 30.0  # seconds without an answer; torchvision itself would wait for ever


def warn_if_changed(dataset: str, file: Path) -> None:
    """Log a warning where the file's MD5 is not the one published under its name; nothing where none is published."""
    expected = entry(dataset).checksums.get(file.name)
    if expected is None:
        return
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != expected:
        log.warning("%s has MD5 %s, the published %s has %s", file, digest, dataset, expected)


def damaged(headline: str, path: Path) -> UserError:
    """What to say of a published file whose content cannot be right."""
    return UserError(headline, where=str(path), fix=REFETCH)


def not_here(dataset: str, places: Iterable[Path], reasons: Iterable[str] = ()) -> UserError:
    """`data_missing` with how to get the dataset."""
    return data_missing(dataset, places, entry(dataset).how_to_get, reasons)


def place_of(
    dataset: str,
    places: Sequence[Path],
    lacks: Callable[[Path], Sequence[str]],
    fetch: Callable[[], object] | None = None,
) -> Path:
    """The first place that lacks nothing; where none is whole, the first of them once `fetch` has filled it.

    Raises UserError with what each place lacks and why the download failed.
    """
    reasons = []
    for place in (place for place in places if place.is_dir()):
        missing = lacks(place)
        if not missing:
            return place
        reasons.append(f"{place} lacks {', '.join(missing)}")
    if fetch is not None:
        try:
            with patient_download():
                fetch()
            return places[0]
        except (OSError, RuntimeError) as error:  # URLError is an OSError
            reasons.append(f"the download failed: {one_line(error)}")
    raise not_here(dataset, places, reasons)


@contextlib.contextmanager
def patient_download() -> Iterator[None]:
    """A time limit for a silent server, and no chatter on standard output, which may be carrying JSON."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def one_line(error: Exception) -> str:
    """An error's message without its line breaks."""
    return " ".join(str(error).split())


def numbered(name: str, *splits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> Dataset:
    """A published dataset from (images, labels) of train and test; an image's id is its place in its split."""
    train, test = (
        LabelledImages(images, labels.astype(np.int64), tuple(f"{name}/{split}/{i:05d}" for i in range(len(images))))
        for split, (images, labels) in zip(("train", "test"), splits, strict=True)
    )
    return Dataset(name, entry(name).classes or (), train, test)
