""".npz batches of pixels, as downsampled ImageNet is published: an array `data`, uint8 (N, 3 * S * S), planes R, G, B.

They are read as streams, so a batch of a gigabyte takes no more memory than a small one; pickled arrays are refused.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from upath import UPath

from orchestrator.data.auxiliary.sources.base import (
    TRAIN,
    Bad,
    Listing,
    Part,
    Rows,
    file_at,
    files_below,
    named_parts,
    part_size,
    row_ranges,
)
from workloads.data.reading.folder import escaped
from workloads.errors import UserError

MEMBER = "data.npy"


@dataclass(frozen=True)
class NpzSource:
    """All .npz files below `path` (or one file). An image's id is file/row, its offset its row in the file."""

    path: str
    side: int

    def facts(self) -> Mapping[str, Any]:
        return {"kind": "npz", "side": self.side, **self._listing().facts()}

    def parts(self, images: int, least: int = 1) -> list[Part]:
        totals = {}
        for name, file in self._listing().files():
            with opened(file, self.side) as (_, totals[name]):
                pass
        return named_parts(TRAIN, row_ranges(totals, part_size(sum(totals.values()), images, least)))

    def read(self, part: Part, rows: int) -> Iterator[Rows | Bad]:
        name, first = part.what
        file, size = file_at(UPath(self.path), name), 3 * self.side**2
        with opened(file, self.side) as (data, _):
            data.seek(first * size, 1)
            for begin in range(first, first + part.images, rows):
                count = min(rows, first + part.images - begin)
                raw = bytearray(data.read(count * size))
                if len(raw) != count * size:
                    raise UserError(f"the array ends before image {begin + count:,}", where=str(file))
                numbers = range(begin, begin + count)
                images = np.frombuffer(raw, np.uint8).reshape(count, 3, self.side, self.side)
                yield Rows(images, [f"{escaped(name)}/{n:09d}" for n in numbers], list(numbers))

    def _listing(self) -> Listing:
        return files_below(UPath(self.path), (".npz",))


@contextmanager
def opened(file: UPath, side: int) -> Iterator[tuple[IO[bytes], int]]:
    """The stream of `data` behind its header, and its number of images. Raises UserError for any other content."""
    try:
        with file.open("rb") as whole, zipfile.ZipFile(whole) as archive, archive.open(MEMBER) as data:
            version = np.lib.format.read_magic(data)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(data)
            if dtype != np.uint8 or fortran or math.prod(shape[1:]) != 3 * side**2:
                raise UserError(
                    f"`data` is {dtype} {shape}, expected uint8 (N, {3 * side**2})",
                    where=str(file),
                    fix="give the --side of these images",
                )
            yield data, shape[0]
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"no .npz file with an array `data`: {error}", where=str(file)) from error
