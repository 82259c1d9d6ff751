"""Errors that a user can mend: a headline, where, what was found, the nearest valid name, the fix.

Every argument is kept in `args`, so these errors survive pickling on their way from a worker to the launcher.
"""

import difflib
from collections.abc import Iterable, Sequence
from os import PathLike


def closest(name: str, options: Iterable[str]) -> str:
    """The option most like `name` (case and ``-``/``_`` do not count), or ``""`` where none is near."""
    plain = {_plain(option): option for option in options}
    found = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=0.5)
    return plain[found[0]] if found else ""


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


class BadInputError(ValueError):
    """Something the user gave cannot be used.

    what: the headline, with what was found. where: file, key or folder. nearest: the nearest valid name.
    fix: what to do about it.
    """

    def __init__(self, what: str, where: str = "", nearest: str = "", fix: str = "") -> None:
        super().__init__(what, where, nearest, fix)
        self.what, self.where, self.nearest, self.fix = what, where, nearest, fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.nearest:
            lines.append(f"  did you mean: {self.nearest}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class DataMissingError(Exception):
    """A dataset's files are in none of the places where they are looked for, and could not be downloaded.

    dataset: its name in the catalogue. looked_in: the places, in order. how_to_get: what to fetch and where to put it.
    reasons: what was found instead, and why the download failed, one each.
    """

    def __init__(
        self, dataset: str, looked_in: Sequence[str | PathLike[str]], how_to_get: str, reasons: Sequence[str] = ()
    ) -> None:
        paths = tuple(str(place) for place in looked_in)
        super().__init__(dataset, paths, how_to_get, tuple(reasons))
        self.dataset, self.looked_in, self.how_to_get, self.reasons = dataset, paths, how_to_get, tuple(reasons)

    def __str__(self) -> str:
        lines = [f"the data of {self.dataset!r} is not here", "  looked in:"]
        lines += [f"    {place}" for place in self.looked_in]
        lines += [f"  found: {reason}" for reason in self.reasons]
        lines += [f"  fix: {self.how_to_get}", "  or: run 'sweep_digits', which needs no download"]
        return "\n".join(lines)
