"""80 Million Tiny Images: the flat file's format, and the subset that Schirrmeister et al. (NeurIPS 2020) took of it.

The file is a plain sequence of images without a header. Each is 3,072 bytes: 32x32 RGB in Fortran (column-major) order
of (row, column, channel), as MATLAB wrote it. The authors withdrew the set in June 2020; nothing here fetches it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.errors import UserError

IMAGES = 79_302_017
SIDE = 32
IMAGE_BYTES = 3 * SIDE * SIDE
CHUNK = 64
"""Images of one chunk: the paper's subset is made of whole chunks whose first image is a multiple of this."""
PAPER_CHUNKS = 24_415
PAPER_SEED = 20191203
TRAIN_SHARE = 0.8

Indices = NDArray[np.int64]


def decode(raw: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    """Bytes of whole images -> uint8 (N, 3, 32, 32): image, channel, row, column. A view, not in C order."""
    columns = np.frombuffer(raw, np.uint8).reshape(-1, 3, SIDE, SIDE)  # image, channel, column, row
    return columns.transpose(0, 1, 3, 2)


def encode(images: NDArray[np.uint8]) -> bytes:
    """uint8 (N, 3, 32, 32) -> bytes of the published file: the inverse of `decode`."""
    return np.ascontiguousarray(images.transpose(0, 1, 3, 2)).tobytes()


def permuted_chunks(images: int = IMAGES, seed: int = PAPER_SEED) -> Indices:
    """Numbers of all whole chunks of a file of `images` images in the published order, int64 (images // 64,).

    NumPy's legacy generator is meant: its stream is frozen, so the order is the published one for ever.
    """
    return np.random.RandomState(seed).permutation(images // CHUNK).astype(np.int64)


def chosen_chunks(
    images: int = IMAGES, chunks: int = PAPER_CHUNKS, seed: int = PAPER_SEED, without: Indices | None = None
) -> Indices:
    """The paper's subset: the first `chunks` chunk numbers of the published order, int64 (chunks,).

    without: 0-based image indices; a chunk that holds one of them is passed over (the paper's second set, without
    CIFAR's duplicates; its main set kept them). Raises UserError where the file has too few chunks.
    """
    order = permuted_chunks(images, seed)
    if without is not None:
        order = order[~np.isin(order, without // CHUNK)]
    if len(order) < chunks:
        headline = f"{len(order):,} chunks of {CHUNK} images to choose {chunks:,} from"
        fix = "choose a fraction or all images instead of the paper's subset"
        raise UserError(headline, where=f"a file of {images:,} images", fix=fix)
    return order[:chunks]


def images_of(chunks: Indices) -> Indices:
    """Image indices of whole chunks, in their order: int64 (64 * chunks,)."""
    return (chunks[:, None] * CHUNK + np.arange(CHUNK)).reshape(-1)


def train_count(images: int) -> int:
    """How many of the chosen images, from the first, train; the rest tests. 80 %, rounded to whole chunks."""
    return round(images * TRAIN_SHARE / CHUNK) * CHUNK


@dataclass(frozen=True)
class Duplicates:
    """Images known to be CIFAR's as well.

    indices: int64, ascending, distinct, 0-based. lines, unknown, repeated: of the lists they were read from.
    """

    indices: Indices
    lines: int
    unknown: int
    repeated: int


def read_duplicates(files: Sequence[Path], images: int = IMAGES) -> Duplicates:
    """The union of published index lists: text, one 1-based index a line; 0 is "unknown" and is dropped.

    Raises UserError, with file and line, for anything else than a whole number from 0 to `images`.
    """
    numbers: list[int] = []
    for file in files:
        for line, content in enumerate(file.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
            text = content.strip()
            if not text:
                continue
            if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > images:
                fix = "give the published list: one 1-based index a line, 0 where unknown"
                headline = f"{text[:40]!r} is no index from 0 to {images:,}"
                raise UserError(headline, where=f"{file}, line {line}", fix=fix)
            numbers.append(int(text))
    values = np.asarray(numbers, dtype=np.int64)
    known = values[values > 0]
    distinct = np.unique(known)
    return Duplicates(distinct - 1, len(values), len(values) - len(known), len(known) - len(distinct))


def ranges(indices: Indices) -> list[tuple[int, int]]:
    """Image indices in their order as (first, count) runs of consecutive images: what can be read at once."""
    if not len(indices):
        return []
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    starts = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([starts, [len(indices)]]))
    return [(int(indices[start]), int(count)) for start, count in zip(starts, counts, strict=True)]
