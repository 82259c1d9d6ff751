"""Files that are there as a whole or not at all, and that are read back only as they were written.

A checked file has a neighbour NAME.sha256, written after it. One without that neighbour is of an earlier version, which
wrote none, or its writer was killed between the two, or somebody has removed it: whoever knows that no earlier version
has written it reads it as `vouched`. A damaged file that is made again stays beside the new one, as NAME.damaged. Paths
may be of any file system that offers pathlib's methods.
"""

import errno
import hashlib
import json
import logging
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock

from workloads.errors import Kind, UserError

log = logging.getLogger(__name__)
PARTIAL = ".partial"
WRITER = re.compile(rf"\.(\d+)-[0-9a-f]{{8}}{re.escape(PARTIAL)}$")
"""In the name of what is being written: the process that writes."""

PERIOD_S, MISSED = 10.0, 4
"""Seconds between a lease's signs of life, and how many of them may fail to come before its holder counts as dead."""


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
    """Remove what killed writers have left in a folder, or also below it. What another process of this machine may be
    writing stays."""
    if not isinstance(folder, Path):
        return
    for partial in folder.rglob(f".*{PARTIAL}") if below else folder.glob(f".*{PARTIAL}"):
        writer = WRITER.search(partial.name)
        if writer is None or int(writer[1]) == os.getpid() or not is_alive(int(writer[1])):
            partial.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether this machine has such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


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


def warn_of_other_writers(code: Path) -> None:
    """Say so where Python code that is about to run, or the folder that it lies in, can be changed by other users."""
    for place in (code, code.absolute().parent):
        if writers := other_writers(place):
            log.warning("%s runs as Python, and %s can change it: `chmod go-w %s`", code, writers, place)
            return


def other_writers(place: Path) -> str:
    """Which other users can write there; empty where none can, or where it is not there."""
    try:
        facts = place.stat()
    except OSError:
        return ""
    if facts.st_uid not in (0, os.geteuid()):
        return f"its owner, user {facts.st_uid},"
    mode, sticky = facts.st_mode, facts.st_mode & stat.S_ISVTX and place.is_dir()
    if mode & stat.S_IWOTH and not sticky:
        return "every user"
    if mode & stat.S_IWGRP and not sticky and facts.st_gid not in (0, facts.st_uid):  # a user's private group
        return f"the group {facts.st_gid}"
    return ""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else makes what belongs into `folder`, which several runs share; look again then."""
    if not isinstance(folder, Path):
        with leased(folder.with_name(f"{folder.name}.lease")):
            yield
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        yield


@contextmanager
def leased(file: Any, *, waits: bool = True) -> Iterator[None]:
    """Hold a lease on a file system without locks: an object that is created only where there is none, and written
    again every `PERIOD_S` seconds. Whoever waits, and sees it unchanged for `MISSED` of those, takes it over: its
    holder is dead. No clock is compared with another machine's.

    waits: else raises BlockingIOError once the holder has shown a sign of life.
    """
    lease = Lease(file)
    lease.take(waits=waits)
    ended = threading.Event()
    thread = threading.Thread(target=lease.keep, args=(ended,), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        lease.release()


class Lease:
    """file: where it lies, of any fsspec file system that knows exclusive creation (S3: If-None-Match)."""

    def __init__(self, file: Any) -> None:
        self.file, self.holder, self.signs = file, {"id": uuid4().hex, **this_process()}, 0

    def take(self, *, waits: bool) -> None:
        before, since, late = b"", time.monotonic(), False
        while not self.create():
            there = self.read()
            if before and there and there != before and not waits:
                raise BlockingIOError(errno.EAGAIN, "it is held", str(self.file))
            if there != before:
                before, since = there, time.monotonic()
            elif time.monotonic() - since > MISSED * PERIOD_S or is_gone(there):
                self.file.unlink(missing_ok=True)
                late = True
                continue
            time.sleep(PERIOD_S / 20)
        if late:  # another one that waits may have removed ours as the dead one's
            time.sleep(PERIOD_S / 20)
            if not self.is_ours():
                self.take(waits=waits)

    def create(self) -> bool:
        """Whether it is ours now: there was none."""
        try:
            self.file.fs.pipe_file(self.file.path, self.content(), mode="create")
        except FileExistsError:
            return False
        return True

    def content(self) -> bytes:
        self.signs += 1
        return json.dumps(self.holder | {"signs": self.signs}).encode()

    def read(self) -> bytes:
        try:
            content: bytes = self.file.fs.cat_file(self.file.path)  # in one request: others write it meanwhile
        except FileNotFoundError:
            return b""
        return content

    def is_ours(self) -> bool:
        return self.holder["id"].encode() in self.read()

    def keep(self, ended: threading.Event) -> None:
        """Show a sign of life until `ended`. A storage that is away for a moment hears of the next one."""
        while not ended.wait(PERIOD_S):
            with suppress(Exception):
                if self.is_ours():
                    self.file.fs.pipe_file(self.file.path, self.content())

    def release(self) -> None:
        with suppress(Exception):  # object stores raise errors of their own; a lease that stays dies by itself
            if self.is_ours():
                self.file.unlink(missing_ok=True)


def this_process() -> dict[str, Any]:
    """pid, and where that number means this process: machines may have one name, and a machine's containers have
    numbers of their own."""
    space, boot = Path("/proc/self/ns/pid"), Path("/proc/sys/kernel/random/boot_id")
    parts = (
        socket.gethostname(),
        space.readlink() if space.exists() else "",
        boot.read_text() if boot.exists() else "",
    )
    return {"pid": os.getpid(), "host": " ".join(map(str, parts)).strip()}


def is_gone(lease: bytes) -> bool:
    """Whether a lease's holder was a process here, and is no more."""
    try:
        holder = json.loads(lease)
        return bool(holder["host"] == this_process()["host"]) and not is_alive(holder["pid"])
    except (ValueError, KeyError, TypeError):  # another format
        return False
