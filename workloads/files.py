"""Files that are there as a whole or not at all, and that are read back only as they were written.

A checked file has a neighbour NAME.sha256, written after it. One without that neighbour is of an earlier version, which
wrote none, or its writer was killed between the two, or somebody has removed it: whoever knows that no earlier version
has written it reads it as `vouched`. A damaged file that is made again stays beside the new one, as NAME.damaged. Paths
may be of any file system that offers pathlib's methods.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from workloads.errors import Kind, UserError

log = logging.getLogger(__name__)
PARTIAL = ".partial"


class DamagedFileError(UserError):
    """A file's bytes are not those that were written. Whoever can make the file again does."""


def write_atomically(path: Path, data: bytes) -> None:
    """All of `data` or nothing, on a local disk through a neighbour that is then renamed. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(path, Path):
        path.write_bytes(data)  # an object store publishes a whole object at once
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}{PARTIAL}")
    try:
        with naming(path):
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: PathLike[str] | str) -> Iterator[None]:
    """What the system refuses inside without a name, as of an open file, or of what is not yet in its place, names this
    file or folder."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not str(error.filename or PARTIAL).endswith(PARTIAL):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


def remove_partials(folder: Path, *, below: bool = False) -> None:
    """Remove what killed writers have left in a folder, or also below it, that nobody writes to at the moment."""
    if not isinstance(folder, Path):
        return
    for partial in folder.rglob(".*.partial") if below else folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)


def write_checked(path: Path, data: bytes) -> None:
    """As `write_atomically`, and keep the SHA-256 that `read_checked` compares with. What is damaged is named, and set
    aside."""
    checksum = checksum_file(path)
    if checksum.exists() and path.exists() and not is_whole(path):
        log.warning("%s was damaged and is made again; what was there is kept as %s", path, damaged_file(path).name)
        path.rename(damaged_file(path))
    checksum.unlink(missing_ok=True)  # the old one first: a writer killed here leaves no file that looks damaged
    write_atomically(path, data)
    write_atomically(checksum, hashlib.sha256(data).hexdigest().encode())


def read_checked(path: Path, fix: str = "bring it back from a copy", *, vouched: bool = False) -> bytes:
    """Raises DamagedFileError, which names the file and the fix, where its bytes are not those that were written, and
    FileNotFoundError. vouched: also where it has no checksum."""
    with naming(path):
        data, checksum = path.read_bytes(), checksum_file(path)
    if not checksum.exists():
        if vouched:
            headline = "a file has lost its checksum: nothing says that it is as it was written"
            raise DamagedFileError(headline, where=str(path), fix=fix, kind=Kind.ENVIRONMENT)
    elif checksum.read_bytes() != hashlib.sha256(data).hexdigest().encode():
        headline = "a file differs from its checksum: it was changed or damaged"
        raise DamagedFileError(headline, where=str(path), fix=fix, kind=Kind.ENVIRONMENT)
    return data


def is_whole(path: Path, *, vouched: bool = False) -> bool:
    """Whether the file is there, as it was written; vouched: with a checksum that says so."""
    try:
        read_checked(path, vouched=vouched)
    except (FileNotFoundError, DamagedFileError):
        return False
    return True


def remove_checked(path: Path) -> None:
    path.unlink(missing_ok=True)
    checksum_file(path).unlink(missing_ok=True)


def checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def damaged_file(path: Path) -> Path:
    """Where a damaged file is set aside."""
    return path.with_name(f"{path.name}.damaged")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else makes what belongs into `folder`, which several runs share; look again then.

    Without a file system's locks (remote storage) nobody waits: what is shared is found by the hash of what it is made
    of, so two writers at once write the same and only waste their time.
    """
    if not isinstance(folder, Path):
        yield
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        yield
