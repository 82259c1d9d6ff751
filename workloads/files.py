"""Files that are there as a whole or not at all, and that are read back only as they were written.

A checked file has a neighbour NAME.sha256, written after it. One without that neighbour (of an earlier version, or of a
writer that was killed between the two) is read as it is. Paths may be of any file system that offers pathlib's methods.
"""

import hashlib
import os
from pathlib import Path

from workloads.errors import Kind, UserError


def write_atomically(path: Path, data: bytes) -> None:
    """All of `data` or nothing, on a local disk through a neighbour that is then renamed. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(path, Path):
        path.write_bytes(data)  # an object store publishes a whole object at once
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(path)


def write_checked(path: Path, data: bytes) -> None:
    """As `write_atomically`, and keep the SHA-256 that `read_checked` compares with."""
    checksum = checksum_file(path)
    checksum.unlink(missing_ok=True)  # the old one first: a writer killed here leaves no file that looks damaged
    write_atomically(path, data)
    write_atomically(checksum, hashlib.sha256(data).hexdigest().encode())


def read_checked(path: Path) -> bytes:
    """Raises UserError, which names the file, where its bytes are not those that were written."""
    data, checksum = path.read_bytes(), checksum_file(path)
    if checksum.exists() and checksum.read_text() != hashlib.sha256(data).hexdigest():
        raise UserError(
            "a file differs from its checksum: it was changed or damaged",
            where=str(path),
            fix="bring it back from a copy",
            kind=Kind.ENVIRONMENT,
        )
    return data


def remove_checked(path: Path) -> None:
    path.unlink()
    checksum_file(path).unlink(missing_ok=True)


def checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
