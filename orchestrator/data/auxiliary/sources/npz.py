""".npz batches of pixels, as downsampled ImageNet is published: an array `data`, uint8 (N, 3 * S * S), planes R, G, B.

They are read as streams, so a batch of a gigabyte takes no more memory than a small one; pickled arrays are refused.
"""

import errno
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from upath import UPath

from orchestrator.data.auxiliary.sources.base import Bad, Piece, Rows, RowSource
from workloads.data.reading.account import escaped
from workloads.data.reading.array_file import read_header, unpacked
from workloads.errors import UserError

MEMBER = "data.npy"
NOT_NPZ = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, RuntimeError, OSError)
"""What reading raises of another file: a RuntimeError where it is encrypted, an OSError for an offset that none has."""


class NpzSource(RowSource):
    """All .npz files below `path` (or one file). An image's id is file/row, its offset its row in the file."""

    kind = "npz"
    suffixes = (".npz",)

    def rows_of(self, file: UPath) -> int:
        with opened(file, self.side) as (_, rows):
            return rows

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        name, first = piece.what
        file, size = self.file(name), 3 * self.side**2
        with opened(file, self.side) as (data, _):
            data.seek(first * size, 1)
            for begin in range(first, first + piece.images, rows):
                count = min(rows, first + piece.images - begin)
                raw = bytearray(data.read(count * size))
                if len(raw) != count * size:
                    raise UserError(f"the array ends before image {begin + count:,}", where=str(file))
                numbers = range(begin, begin + count)
                images = np.frombuffer(raw, np.uint8).reshape(count, 3, self.side, self.side)
                yield Rows(images, [f"{escaped(name)}/{n:09d}" for n in numbers], list(numbers))


@contextmanager
def opened(file: UPath, side: int) -> Iterator[tuple[IO[bytes], int]]:
    """The stream of `data` behind its header, and its number of images. Raises UserError for any other content."""
    try:
        with file.open("rb") as whole, zipfile.ZipFile(whole) as archive, archive.open(MEMBER) as data:
            shape, fortran, dtype = read_header(data, unpacked(archive.getinfo(MEMBER)))
            if dtype != np.uint8 or fortran or math.prod(shape[1:]) != 3 * side**2:
                headline = f"`data` is {dtype} {shape}, expected uint8 (N, {3 * side**2})"
                raise UserError(headline, where=str(file), fix="give the --side of these images")
            yield data, shape[0]
    except NOT_NPZ as error:
        if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)):
            raise
        raise UserError(f"no .npz file with an array `data`: {error}", where=str(file)) from error
