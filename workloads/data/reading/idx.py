"""Reader of IDX files (MNIST and those made like it), plain or gzipped.

Format, as published with MNIST: two zero bytes, a type byte (0x08 = uint8), the number of dimensions, then each size as
a big-endian uint32, then the values. Nothing may follow.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.reading.published_files import damaged

UINT8 = 0x08
MAX_BYTES = 1 << 30  # the largest real file has 47 MB; a corrupt header must not ask for all of the memory


def read_idx(path: Path, dims: int) -> NDArray[np.uint8]:
    """The array of an IDX file with `dims` dimensions: uint8, e.g. (N, H, W) for dims=3 or (N,) for dims=1.

    Raises UserError for a wrong magic number, sizes that make no sense, a truncated or overlong file, or bad gzip.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * dims)
            sizes = _sizes(header, dims, path)
            expected = math.prod(sizes)
            # A bytearray: the array owns its memory and may be written to; one byte more shows what may not follow.
            body = bytearray(file.read(expected + 1))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged(f"not a whole gzip file: {error}", path) from error
    if len(body) != expected:
        there = f"only {len(body)}" if len(body) < expected else "more"
        raise damaged(f"IDX sizes {sizes} need {expected} bytes, the file has {there}", path)
    return np.frombuffer(body, dtype=np.uint8).reshape(sizes)


def _sizes(header: bytes, dims: int, path: Path) -> tuple[int, ...]:
    if len(header) < 4 + 4 * dims:
        raise damaged(f"truncated IDX header: {len(header)} bytes", path)
    if header[:4] != bytes((0, 0, UINT8, dims)):
        wanted = f"0x0000{UINT8:02x}{dims:02x} (IDX, uint8, {dims} dimensions)"
        raise damaged(f"wrong magic number 0x{header[:4].hex()}, expected {wanted}", path)
    sizes = struct.unpack(f">{dims}I", header[4:])
    if not 0 < math.prod(sizes) <= MAX_BYTES:
        raise damaged(f"IDX sizes {sizes} make no sense", path)
    return sizes
