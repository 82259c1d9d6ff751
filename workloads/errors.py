"""Errors that a user can mend: a headline, where, what was found, the nearest valid name, the fix."""

import difflib
import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from os import PathLike


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


WORLD = {
    errno.ENOSPC: ("the disk is full", "make room (`df -h` and `df -i` show what is left), then go on with `resume`"),
    errno.EDQUOT: ("the quota is used up", "make room, or ask for more, then go on with `resume`"),
    errno.EROFS: ("the file system is read-only", "have it mounted for writing, or give --storage another place"),
    errno.EACCES: ("permission is denied", "have its rights changed, or give a place of yours, such as --storage"),
    errno.EPERM: ("the operation is not permitted", "have its rights changed, or give a place of yours"),
    errno.ENAMETOOLONG: ("a name is too long", "give a shorter --name, or a shorter path"),
    errno.EMFILE: ("too many files are open", "raise the limit (`ulimit -n 4096`), then go on with `resume`"),
    errno.ENFILE: ("too many files are open on this machine", "end what holds them, then go on with `resume`"),
    errno.EIO: ("the disk fails", "see the system's log, then go on with `resume`, from a copy where need be"),
    errno.ESTALE: ("a network file system has gone away", "have it mounted again, then go on with `resume`"),
    errno.ENOTCONN: ("a network file system has gone away", "have it mounted again, then go on with `resume`"),
}
"""Number of an error of the system's -> what it is, and what to do about it."""


def of_the_world(error: BaseException) -> UserError | None:
    """What the machine around refuses (a full disk, rights, limits), as an error for users; None of any other."""
    if not isinstance(error, OSError) or error.errno not in WORLD:
        return None
    headline, fix = WORLD[error.errno]
    return UserError(headline, where=str(error.filename or ""), fix=fix, kind=Kind.ENVIRONMENT)


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
