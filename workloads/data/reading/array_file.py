"""NumPy files of others: what their headers claim is held against their bytes, before anything is made of it."""

import errno
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from numpy.lib import format as npy

MOST_EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
"""How a member of an .npz file may be kept -> bytes that one of its bytes can become."""


def check_claims(file: Path) -> None:
    """Raises ValueError for a .npy file, or an array of an .npz file, whose header claims more than there is, and what
    zipfile raises for a broken archive. What is neither is left to its reader."""
    with file.open("rb") as opened:
        begin = opened.read(len(npy.MAGIC_PREFIX))
        opened.seek(0)
        if begin == npy.MAGIC_PREFIX:
            read_header(opened, file.stat().st_size)
        elif begin.startswith(b"PK"):
            check_archive(opened)


def check_archive(file: IO[bytes]) -> None:
    """As `check_claims`, of an .npz file that is open already."""
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as opened:
                    if member.filename.endswith(".npy"):
                        read_header(opened, unpacked(member))
    except (RuntimeError, NotImplementedError, zlib.error) as error:  # it is encrypted, kept in another way, or damaged
        raise ValueError(str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # of an offset that none can be
            raise
        raise ValueError(f"no .npz file: {error}") from error


def unpacked(member: zipfile.ZipInfo) -> int:
    """Bytes of an archive's member. Raises ValueError where it says to have more than can come of it."""
    if member.file_size > MOST_EXPANSION.get(member.compress_type, 0) * member.compress_size:
        raise ValueError(f"{member.filename} says to have {member.file_size:,} bytes of {member.compress_size:,}")
    return member.file_size


def read_header(opened: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, Any]:
    """(shape, whether in Fortran's order, dtype) that the .npy header of a stream of `size` bytes claims; the stream
    stands behind the header then. Raises ValueError where the rest of the stream does not hold so much."""
    version = npy.read_magic(opened)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(opened)
    left = size - opened.tell()
    if not dtype.hasobject and (min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > left):
        raise ValueError(f"its header claims {dtype} {shape}, and {left:,} bytes follow")
    return shape, fortran, dtype
