"""The flat file of 80 Million Tiny Images, read in ranges: never mapped, never whole in memory."""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

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
                headline = f"{total:,} images; the paper's subset is defined on {tiny.IMAGES:,}"
                fix = "choose a fraction or all of this file: --choose 0.1, --choose all"
                raise UserError(headline, where=self.path, fix=fix)
            chosen = tiny.images_of(tiny.chosen_chunks(total, without=None if self.duplicates is None else excluded))
            edge, whole = tiny.train_count(len(chosen)), whole_chunks(len(chosen), images, 1)
            return [*cut(TRAIN, chosen[:edge], whole, excluded), *cut(TEST, chosen[edge:], whole, excluded)]
        order = tiny.permuted_chunks(total)
        chosen = tiny.images_of(order[: self.count(order)])
        return cut(TRAIN, chosen, whole_chunks(len(chosen), images, least), excluded)

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        indices = np.concatenate([np.arange(first, first + count) for first, count in piece.what])
        with self.file.open("rb") if is_local(self.file) else self.file.open("rb", cache_type="none") as file:
            for some in np.split(indices, range(rows, len(indices), rows)):
                raw = b"".join(self.read_images(file, first, count) for first, count in tiny.ranges(some))
                ids = [f"tiny_images/{index:08d}" for index in some]
                yield Rows(np.ascontiguousarray(tiny.decode(raw)), ids, (some * tiny.IMAGE_BYTES).tolist())

    def read_images(self, file: IO[bytes], first: int, count: int) -> bytes:
        """Exactly these images. Raises UserError where the file has become shorter meanwhile."""
        offset, size = first * tiny.IMAGE_BYTES, count * tiny.IMAGE_BYTES
        file.seek(offset)
        data = file.read(size)
        if len(data) != size:
            headline = f"{len(data):,} of {size:,} bytes at byte {offset:,}: the file became shorter"
            raise UserError(headline, where=self.path, fix=REFETCH)
        return data


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
        cut_off = f"{size:,} bytes are {images:,} images of {tiny.IMAGE_BYTES:,} bytes and {rest:,} bytes more"
        fix = f"{REFETCH} (the published one has {tiny.IMAGES * tiny.IMAGE_BYTES:,} bytes)"
        raise UserError(f"truncated: {cut_off}" if rest else "the file is empty", where=str(file), fix=fix)
    if is_local(file) and hasattr(os, "SEEK_HOLE"):
        with open(file, "rb") as opened:
            hole = os.lseek(opened.fileno(), 0, os.SEEK_HOLE)
        if hole < size:
            headline = f"a hole at byte {hole:,}, in image {hole // tiny.IMAGE_BYTES:,}: nothing was written there"
            raise UserError(headline, where=str(file), fix=REFETCH)
    return images


def is_local(file: UPath) -> bool:
    return isinstance(file, os.PathLike)
