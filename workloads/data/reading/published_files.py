"""What the loaders of published files share: checksums, patient downloads, ids."""

import contextlib
import hashlib
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.images import Dataset, LabelledImages

log = logging.getLogger(__name__)

REFETCH = "delete the file and fetch it again"
TIMEOUT = 30.0  # seconds without an answer; torchvision itself would wait for ever


def warn_if_changed(dataset: str, file: Path) -> None:
    """Log a warning where the file's MD5 is not the one published under its name; nothing where none is published."""
    expected = entry(dataset).checksums.get(file.name)
    if expected is None:
        return
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        log.warning("%s has MD5 %s, the published %s has %s", file, found, dataset, expected)


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
