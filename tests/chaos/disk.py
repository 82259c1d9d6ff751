"""A disk that fails at a chosen moment: what a process does to the files of a storage, seen call by call.

A moment is the n-th call of a kind (such as the third "rename" of a "rung"). There the process dies, or power is cut, a
signal comes, or the disk is full, read-only, forbidden, broken or gone.
"""

import builtins
import errno
import io
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

KINDS = {
    r"/ledger/": "ledger",
    r"/\.?heartbeat\.json": "heartbeat",
    r"lock$": "lock",
    r"/data/.*/shards": "shard",
    r"/data/.*masks": "masks",
    r"/data/": "images' manifest",
    r"/stages/.*history": "stage's history",
    r"/stages/.*manifest": "stage's manifest",
    r"/stages/": "stage's state",
    r"/baselines/": "baseline",
    r"/units/.*manifest": "checkpoint's manifest",
    r"/units/": "checkpoint",
    r"part-\d": "share",
    r"/\.?scores": "scores",
    r"/\.?rung-": "rung",
    r"/analyses/.*png": "picture",
    r"/analyses/": "finding",
    r"/report": "report",
    r"/\.?rates": "rates",
    r"/\.?space\.py": "space",
    r"/trials": "trial's folder",
}
"""Pattern of a path below the storage -> kind of file; the first that fits."""
ERRORS = {
    "disk full": errno.ENOSPC,
    "inodes used up": errno.ENOSPC,
    "quota used up": errno.EDQUOT,
    "read-only": errno.EROFS,
    "permission denied": errno.EACCES,
    "another user's": errno.EPERM,
    "name too long": errno.ENAMETOOLONG,
    "I/O error": errno.EIO,
    "stale handle": errno.ESTALE,
    "disk gone": errno.ENODEV,
    "too many open files": errno.EMFILE,
}
SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP, "SIGINT": signal.SIGINT}
KILLS = ("killed", "power cut")
ONCE = ("I/O error", "too many open files", "name too long")
"""Errors that pass; the others stay until the launch ends."""
CHANGES = ("create", "append to", "write", "mkdir", "rmdir", "rename", "unlink", "truncate", "sync")
REFUSED = {
    **dict.fromkeys(ERRORS, (*CHANGES, "read", "list")),
    **dict.fromkeys(("disk full", "quota used up"), ("create", "write", "mkdir")),
    **dict.fromkeys(("inodes used up", "name too long"), ("create", "mkdir")),
    **dict.fromkeys(("read-only", "another user's"), CHANGES),
}
"""Error -> operations that it refuses."""
FAULTS = (*KILLS, *SIGNALS, *ERRORS, "storage gone", "bit flipped")
KILLED = 137
OPEN = io.open


@dataclass(frozen=True)
class Moment:
    """The `number`-th call (from 0) of an operation on a kind of file."""

    operation: str
    kind: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.operation} {self.kind} #{self.number}"


@dataclass(frozen=True)
class Fault:
    """What happens at a moment; or, of a number, at that call (from 0) of all that the fault can happen at. what: one
    of `FAULTS`."""

    what: str
    moment: Moment | int

    def fits(self, operation: str, kind: str) -> bool:
        """Whether it can happen there. An image that nobody may read is one that cannot be used."""
        if kind == "image" and self.what == "permission denied":
            return False
        return operation in REFUSED.get(self.what, (*CHANGES, "read"))


@lru_cache(maxsize=4096)
def kind_of(path: str, storage: str) -> str:
    below = path.removeprefix(storage)
    if below == path:
        return "image"
    kind = next((kind for pattern, kind in KINDS.items() if re.search(pattern, below)), "folder")
    return f"{kind}'s checksum" if ".sha256" in below else kind


class Disk:
    """Watches this process's calls below a storage, and its reading of images. seen: all of them, in order. fault:
    happens at its moment, which is then written into the file `told`."""

    def __init__(self, storage: str, images: str, fault: Fault | None, told: str) -> None:
        self.storage, self.images, self.fault, self.told = storage, images, fault, told
        self.fitting = 0  # calls so far that the fault can happen at
        self.seen: list[tuple[str, str]] = []
        self.counts = Counter[tuple[str, str]]()
        self.failing: int = 0  # errno of what fails from now on
        self.unsynced: dict[str, int] = {}  # file -> bytes of it that a power cut leaves whole
        names = ("replace", "rename", "unlink", "mkdir", "rmdir", "fsync", "open")
        self.real = {name: getattr(os, name) for name in names}
        self.truncate, self.open = os.truncate, io.open

    def watch(self) -> None:
        """From here on, in this process."""
        os.replace = os.rename = self.moving  # type: ignore[assignment]
        for name, operation in {"unlink": "unlink", "mkdir": "mkdir", "rmdir": "rmdir"}.items():
            setattr(os, name, self.calling(operation, self.real[name]))
        os.remove, os.open = os.unlink, self.lower
        os.scandir, os.listdir = self.calling("list", os.scandir), self.calling("list", os.listdir)  # type: ignore
        os.fsync, os.truncate = self.syncing, self.calling("truncate", self.truncate)  # type: ignore[assignment]
        io.open = builtins.open = self.opening  # type: ignore[assignment]

    def at(self, operation: str, path: Any, half: Callable[[], object] | None = None) -> None:
        """A call is about to be made. half: does half of it."""
        path = os.fspath(path) if not isinstance(path, int) else ""
        if not isinstance(path, str) or not path.startswith((self.storage, self.images)):
            return
        key = operation, kind_of(path, self.storage)
        moment = Moment(*key, self.counts[key])
        self.seen.append(key)
        self.counts[key] += 1
        if self.fault is None:
            return
        fits = self.fault.fits(*key)
        if self.failing and fits:
            raise error_of(self.failing, operation, path)
        if self.fault.moment in (moment, self.fitting if fits else -1):
            with OPEN(self.told, "w") as file:
                file.write(f"{operation} {key[1]}")
            self.happen(self.fault.what, operation, path, half)
        self.fitting += fits

    def happen(self, what: str, operation: str, path: str, half: Callable[[], object] | None) -> None:
        if half and what not in SIGNALS:
            half()
        if what == "power cut":
            for file, synced in self.unsynced.items():
                if os.path.exists(file):
                    self.truncate(file, (synced + os.path.getsize(file)) // 2)
        if what in KILLS:
            os._exit(KILLED)
        if what in SIGNALS:
            os.kill(os.getpid(), SIGNALS[what])
        elif what == "storage gone":
            self.real["rename"](self.storage, f"{self.storage}.gone")
        elif what in ERRORS:
            self.failing = 0 if what in ONCE else ERRORS[what]
            raise error_of(ERRORS[what], operation, path)

    def calling(self, operation: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *rest: Any, dir_fd: int | None = None, **named: Any) -> Any:
            place = path if dir_fd is None else os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), path)
            self.at(operation, place)
            return real(path, *rest, **named) if dir_fd is None else real(path, *rest, dir_fd=dir_fd, **named)

        return call

    def lower(self, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        """`os.open`, as locks have it."""
        self.at("create" if flags & os.O_CREAT else "read", path)
        return int(self.real["open"](path, flags, *rest, **named))

    def moving(self, source: Any, target: Any, **named: Any) -> None:
        self.at("rename", target)
        self.real["replace"](source, target, **named)
        self.unsynced.pop(os.fspath(target), None)
        if os.fspath(source) in self.unsynced:
            self.unsynced[os.fspath(target)] = self.unsynced.pop(os.fspath(source))
        if self.fault and self.fault.what == "bit flipped" and self.fault.moment == self.last("rename", target):
            flip(os.fspath(target))

    def last(self, operation: str, path: Any) -> Moment:
        """The call that has just been made."""
        key = operation, kind_of(os.fspath(path), self.storage)
        return Moment(*key, self.counts[key] - 1)

    def syncing(self, number: int) -> None:
        path = os.readlink(f"/proc/self/fd/{number}")
        self.at("sync", path)
        self.real["fsync"](number) if not path.startswith(self.storage) else None  # the disk of a test is its memory
        self.unsynced.pop(path, None)

    def opening(self, file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        path = file if isinstance(file, int) else os.fspath(file)
        if isinstance(path, int) or not set(mode) & set("wax+"):
            self.at("read", path)
            return self.open(file, mode, *rest, **named)
        if not str(path).startswith(self.storage):
            return self.open(file, mode, *rest, **named)
        self.at("create" if "a" not in mode else "append to", path)
        return Watched(self.open(file, mode, *rest, **named), str(path), self)


class Watched:
    """A file that is written to."""

    def __init__(self, file: Any, path: str, disk: Disk) -> None:
        self.file, self.path, self.disk = file, path, disk

    def write(self, data: Any) -> int:
        def half() -> None:
            self.file.write(data[: len(data) // 2])
            self.file.flush()

        self.disk.at("write", self.path, half)
        self.disk.unsynced.setdefault(self.path, os.path.getsize(self.path))
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.file)


def error_of(number: int, operation: str, path: str) -> OSError:
    """As the system's: what fails of an open file does not say which."""
    return OSError(number, os.strerror(number), *([] if operation in ("write", "sync") else [path]))


def flip(path: str, place: float = 0.5) -> None:
    """Another bit in a file; place: in [0, 1)."""
    with OPEN(path, "r+b") as file:
        content = bytearray(file.read())
        content[int(len(content) * place)] ^= 1 << int(8 * (len(content) * place % 1))
        file.seek(0)
        file.write(content)
