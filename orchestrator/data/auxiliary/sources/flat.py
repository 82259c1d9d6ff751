"""The flat file of 80 Million Tiny Images, read in ranges: never mapped, never whole in memory."""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from orchestrator.data.auxiliary.sources.base import TEST, TRAIN, Bad, Piece, Rows, file_facts, named_pieces, piece_size
from workloads.data.loaders import tiny_images as tiny
from workloads.errors import UserError

log = logging.getLogger(__name__)

PAPER, ALL = "paper", "all"
REFETCH = "the copy is not whole: fetch it again"


@dataclass(frozen=True)
class FlatSource:
    """A file in exactly the published format.

    choose: "paper" (the published subset and split, whole chunks without any duplicate where `duplicates` are given),
    "all", or a fraction such as "0.05" (of the chunks, in the published order). The last two leave out single
    duplicates, and have no split of their own.
    """

    path: str
    choose: str = PAPER
    duplicates: tiny.Duplicates | None = None
    side: int = tiny.SIDE

    @property
    def file(self) -> UPath:
        return UPath(self.path)

    def facts(self) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"kind": "tiny_images", "file": self.file.name, **file_facts(self.file)}
        facts |= {"choose": self.choose}
        if self.duplicates is not None:
            known = self.duplicates
            counts = {"lines": known.lines, "unknown": known.unknown, "repeated": known.repeated}
            facts["duplicates"] = {"listed": len(known.indices), **counts, "left_out": self.left_out(known.indices)}
        return facts

    def left_out(self, known: tiny.Indices) -> str:
        """What the choice would hold without the lists: chunks or images."""
        total = file_facts(self.file)["bytes"] // tiny.IMAGE_BYTES
        if self.choose == ALL:
            return f"{int((known < total).sum()):,} image(s)"
        order = tiny.permuted_chunks(total)
        if self.choose == PAPER:
            hit = np.isin(order, known // tiny.CHUNK)
            last = np.flatnonzero(~hit)[: tiny.PAPER_CHUNKS][-1]
            return f"{int(hit[:last].sum()):,} chunk(s)"
        return f"{int(np.isin(tiny.images_of(order[: self.count(order)]), known).sum()):,} image(s)"

    def count(self, order: tiny.Indices) -> int:
        """Chunks that a fraction takes."""
        return max(1, round(fraction_of(self.choose) * len(order)))

    def pieces(self, images: int, least: int = 1) -> list[Piece]:
        total = check_whole(self.file)
        if total != tiny.IMAGES and self.choose != PAPER:
            log.warning("%s has %s images, %s as published", self.file, f"{total:,}", f"{tiny.IMAGES:,}")
        excluded = np.empty(0, np.int64) if self.duplicates is None else self.duplicates.indices
        if self.choose == ALL:
            whole = whole_chunks(total, images, least)
            runs = (np.arange(first, min(first + whole, total)) for first in range(0, total, whole))
            return named_pieces(TRAIN, (ranged(np.setdiff1d(run, excluded, True)) for run in runs))
        if self.choose == PAPER:
            if total != tiny.IMAGES:
                raise UserError(
                    f"{total:,} images; the paper's subset is defined on {tiny.IMAGES:,}",
                    where=self.path,
                    fix="choose a fraction or all of this file: --choose 0.1, --choose all",
                )
            chosen = tiny.images_of(tiny.chosen_chunks(total, without=None if self.duplicates is None else excluded))
            edge, whole = tiny.train_count(len(chosen)), whole_chunks(len(chosen), images, 1)
            return [*cut(TRAIN, chosen[:edge], whole, excluded), *cut(TEST, chosen[edge:], whole, excluded)]
        order = tiny.permuted_chunks(total)
        chosen = tiny.images_of(order[: self.count(order)])
        return cut(TRAIN, chosen, whole_chunks(len(chosen), images, least), excluded)

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        with Ranges(self.file) as file:
            for images, indices in _gathered(piece.what, rows):
                raw = b"".join(file.read(first * tiny.IMAGE_BYTES, count * tiny.IMAGE_BYTES) for first, count in images)
                yield Rows(
                    np.ascontiguousarray(tiny.decode(raw)),
                    [f"tiny_images/{index:08d}" for index in indices],
                    [index * tiny.IMAGE_BYTES for index in indices],
                )


def fraction_of(choose: str) -> float:
    """Raises UserError where it is no fraction in (0, 1]."""
    try:
        value = float(choose)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise UserError(f"found {choose!r}", where="--choose", fix="give paper, all, or a fraction such as 0.05")
    return value


def whole_chunks(total: int, images: int, least: int) -> int:
    """Images of a piece in whole chunks."""
    return max(1, piece_size(total, images, least) // tiny.CHUNK) * tiny.CHUNK


def cut(split: str, chosen: tiny.Indices, images: int, excluded: tiny.Indices) -> list[Piece]:
    kept = chosen[~np.isin(chosen, excluded)]
    return named_pieces(split, (ranged(kept[first : first + images]) for first in range(0, len(kept), images)))


def ranged(indices: NDArray[np.int64]) -> tuple[list[tuple[int, int]], int]:
    return tiny.ranges(indices), len(indices)


def check_whole(file: UPath) -> int:
    """The number of images in the file. Raises UserError where it is missing, cut within an image, empty, or has
    a hole: a stretch that was never written, as an unfinished download leaves."""
    if not file.is_file():
        raise UserError("there is no such file", where=str(file))
    size = file_facts(file)["bytes"]
    images, rest = divmod(size, tiny.IMAGE_BYTES)
    if rest or not images:
        raise UserError(
            f"truncated: {size:,} bytes are {images:,} images of {tiny.IMAGE_BYTES:,} bytes and {rest:,} bytes more"
            if rest
            else "the file is empty",
            where=str(file),
            fix=f"{REFETCH} (the published one has {tiny.IMAGES * tiny.IMAGE_BYTES:,} bytes)",
        )
    if is_local(file) and hasattr(os, "SEEK_HOLE"):
        with open(file, "rb") as opened:
            hole = os.lseek(opened.fileno(), 0, os.SEEK_HOLE)
        if hole < size:
            raise UserError(
                f"a hole at byte {hole:,}, in image {hole // tiny.IMAGE_BYTES:,}: nothing was written there",
                where=str(file),
                fix=REFETCH,
            )
    return images


def is_local(file: UPath) -> bool:
    return isinstance(file, os.PathLike)


class Ranges:
    """A file open for reading ranges: pread on this machine's files, ranged requests elsewhere."""

    def __init__(self, file: UPath) -> None:
        self.file = file
        self.descriptor = os.open(file, os.O_RDONLY) if is_local(file) else None

    def __enter__(self) -> "Ranges":
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes. Raises UserError where the file has become shorter meanwhile."""
        if self.descriptor is None:
            data = self.file.fs.cat_file(self.file.path, start=offset, end=offset + size)
        else:
            data = os.pread(self.descriptor, size, offset)
            while len(data) < size and (more := os.pread(self.descriptor, size - len(data), offset + len(data))):
                data += more
        if len(data) != size:
            raise UserError(
                f"{len(data):,} of {size:,} bytes at byte {offset:,}: the file became shorter",
                where=str(self.file),
                fix=REFETCH,
            )
        return data


def _gathered(ranges: list[tuple[int, int]], rows: int) -> Iterator[tuple[list[tuple[int, int]], list[int]]]:
    """The ranges cut and joined so that each group holds `rows` images (the last may hold fewer)."""
    group: list[tuple[int, int]] = []
    free = rows
    for first, count in ranges:
        while count:
            taken = min(count, free)
            group.append((first, taken))
            first, count, free = first + taken, count - taken, free - taken
            if not free:
                yield group, _numbers(group)
                group, free = [], rows
    if group:
        yield group, _numbers(group)


def _numbers(group: list[tuple[int, int]]) -> list[int]:
    return [index for first, count in group for index in range(first, first + count)]
