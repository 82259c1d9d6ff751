"""Errors that a user can mend: a headline, where, what was found, the nearest valid name, the fix."""

import difflib
import errno
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from os import PathLike
from pathlib import Path


class Kind(StrEnum):
    """What sort of thing stands in the way."""

    USAGE = "usage"  # a space, an option or a file of the user's cannot be used
    ENVIRONMENT = "environment"  # data, memory, network or a cluster is missing
    REFUSED = "refused"  # it would disturb what is there: a live launcher, or a run of another question
    FAILED = "failed"  # the work itself failed


@dataclass(frozen=True)
class Problem:
    """One of several things to mend: `key` is the path in the space or the option's name."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"


class UserError(ValueError):
    """Something that the user can mend stands in the way.

    headline: what it is, with the value that was found. where: file, key or folder. nearest: the nearest valid name.
    fix: what to do about it. details: further lines. problems: where several things are wrong at once, each of them.

    Every argument is kept in `args`, so the error survives pickling on its way from a worker to the launcher. It is a
    ValueError, because pydantic collects those of a validator.
    """

    def __init__(
        self,
        headline: str,
        where: str = "",
        nearest: str = "",
        fix: str = "",
        details: str = "",
        kind: Kind = Kind.USAGE,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(headline, where, nearest, fix, details, kind, tuple(problems))
        self.headline, self.where, self.nearest, self.fix = headline, where, nearest, fix
        self.details, self.kind, self.problems = details, kind, tuple(problems)

    def __str__(self) -> str:
        lines = [self.headline, *(f"  {problem}" for problem in self.problems)]
        labelled = {"where": self.where, "did you mean": self.nearest, "fix": self.fix}
        lines += [self.details] if self.details else []
        return "\n".join(lines + [f"  {label}: {text}" for label, text in labelled.items() if text])


RESUME = "then go on with `resume`"
GONE = f"bring it back (is its disk mounted, and is the path right?), {RESUME}"
AWAY = f"have it mounted again, {RESUME}"
WORLD = {
    errno.ENOSPC: ("the disk is full", f"make room (`df -h` and `df -i` show what is left), {RESUME}"),
    errno.EDQUOT: ("the quota is used up", f"make room, or ask for more, {RESUME}"),
    errno.EFBIG: ("a file is larger than it may be", f"raise the limit (`ulimit -f unlimited`), {RESUME}"),
    errno.EROFS: ("the file system is read-only", "have it mounted for writing, or give --storage another place"),
    errno.EACCES: ("permission is denied", "have its rights changed, or give a place of yours, such as --storage"),
    errno.EPERM: ("the operation is not permitted", "have its rights changed, or give a place of yours"),
    errno.ENAMETOOLONG: ("a name is too long", "give a shorter --name, or a shorter path"),
    errno.EMFILE: ("too many files are open", f"raise the limit (`ulimit -n 4096`), {RESUME}"),
    errno.ENFILE: ("too many files are open on this machine", f"end what holds them, {RESUME}"),
    errno.ENOMEM: ("the machine's memory is used up", f"end what holds it, {RESUME}"),
    errno.EIO: ("the disk fails", f"see the system's log, {RESUME}, from a copy where need be"),
    errno.ENOENT: ("a file or folder is not there", GONE),
    errno.ENOTDIR: ("a folder of the path is none", GONE),
    errno.ENODEV: ("a disk has gone away", AWAY),
    errno.ENXIO: ("a disk has gone away", AWAY),
    errno.ENOLCK: ("the file system has no locks left", f"see the system's log, {RESUME}, on another --storage"),
    errno.ESTALE: ("a network file system has gone away", AWAY),
    errno.ENOTCONN: ("a network file system has gone away", AWAY),
    errno.EHOSTDOWN: ("a network file system has gone away", AWAY),
    getattr(errno, "EREMOTEIO", errno.EHOSTDOWN): ("a network file system has gone away", AWAY),  # Linux alone has it
    errno.ETIMEDOUT: ("it does not answer", f"see whether it is up and can be reached, {RESUME}"),
}
"""Number of an error of the system's -> what it is, and what to do about it."""
WITHOUT_NUMBER: dict[type[BaseException], int] = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    TimeoutError: errno.ETIMEDOUT,
}
"""Errors of object stores, which have no number of the system's."""
IN_WORDS = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)
"""How libraries that are not Python's say the number."""


def of_the_world(error: BaseException) -> UserError | None:
    """What the machine around refuses (a full disk, rights, limits, a place that is gone), as an error for users; None
    of any other."""
    number = number_of(error)
    if number not in WORLD:
        return None
    headline, fix = WORLD[number]
    where = str(getattr(error, "filename", None) or ("" if isinstance(error, OSError) and error.errno else error))
    return UserError(headline, where=where, fix=fix, kind=Kind.ENVIRONMENT)


def number_of(error: BaseException) -> int | None:
    """The system's number of an error, where it has one or says one."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if type(error) in WITHOUT_NUMBER:
        return WITHOUT_NUMBER[type(error)]
    words = IN_WORDS.search(str(error)) if not isinstance(error, UserError) else None
    return int(words[1] or words[2]) if words else None


OF_A_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EFBIG)
"""Numbers of errors that say something of one file, and nothing of the next."""


def of_the_machine(error: BaseException) -> bool:
    """Whether an error says nothing of the file that was read, which may be as good as any: a disk that fails or is
    gone, too many open files."""
    return of_the_world(error) is not None and number_of(error) not in OF_A_FILE


def meets_all(error: BaseException) -> bool:
    """Whether the next piece of work would meet an error of the world, too: a file that is missing alone it would
    not."""
    if of_the_world(error) is None:
        return False
    place = getattr(error, "filename", None)
    return number_of(error) != errno.ENOENT or bool(place and not Path(os.fsdecode(place)).parent.exists())


def several(problems: Iterable[Problem], where: str = "") -> UserError:
    """One error of everything that is wrong, so that it is mended at once."""
    listed = list(problems)
    count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    return UserError(f"{count} in {where}" if where else count, problems=listed)


def data_missing(
    dataset: str, looked_in: Iterable[str | PathLike[str]], how_to_get: str, reasons: Iterable[str] = ()
) -> UserError:
    """A dataset's files are in none of the places where they are looked for, and could not be downloaded.

    dataset: its name in the catalogue. looked_in: the places, in order. how_to_get: what to fetch and where to put it.
    reasons: what was found instead, and why the download failed.
    """
    lines = ["  looked in:", *(f"    {place}" for place in looked_in), *(f"  found: {reason}" for reason in reasons)]
    fix = f"{how_to_get}\n  or: run 'sweep_digits', which needs no download"
    return UserError(f"the data of {dataset!r} is not here", fix=fix, details="\n".join(lines), kind=Kind.ENVIRONMENT)


def closest(name: str, options: Iterable[str]) -> str:
    """The option most like `name` (case and ``-``/``_`` do not count), or ``""`` where none is near."""
    plain = {_plain(option): option for option in options}
    matches = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=0.5)
    return plain[matches[0]] if matches else ""


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint: "did you mean 'X'?", or the valid names where none is near; that there are none where none is valid."""
    names = [str(option) for option in valid]
    if not names:
        return "there are none"
    match = closest(str(name), names)
    return f"did you mean {match!r}?" if match else f"valid: {', '.join(names)}"


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
