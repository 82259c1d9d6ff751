"""The account of what was not used of somebody's images: which files count as images, and why others are left out."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"))
UNREAD_SUFFIXES = frozenset(
    (".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd", ".exr", ".hdr", ".dcm")
)
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip", ".7z", ".rar")
SYSTEM_NAMES = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information", "lost+found")
)
SHADOWS, SHADOW = "__macosx", "._"
NAMED = 5  # files that a message or an account names for each reason


class Reason(StrEnum):
    """Why a file is not used, as people read it."""

    SHADOW = "shadow files of macOS"
    SYSTEM = "files of the system"
    HIDDEN = "hidden: the file's name, or that of a folder on its way, begins with a dot"
    IGNORED = "left out by the key `ignore`"
    FORMAT = "image formats that are not read: convert them to PNG or JPEG"
    ARCHIVE = "archives: unpack them"
    ENDING = "no images by their ending"
    BESIDE = "beside the class folders"
    UNLISTED = "not listed in images.csv"
    NESTED = "in a folder within a class folder"
    LINK = "links that are not followed: out of the folder, to another folder, or within an archive"
    IRREGULAR = "no regular files"
    BROKEN = "cannot be read"
    COPY = "test images with the pixels of an image that is learnt from or held out"
    NEAR_COPY = "test images that are near copies of an image that is learnt from or held out"
    CONTRADICTION = "test images that are copies, or near copies, of another class's test image"


Copies = Literal["leave_out", "keep"]
AFTER_READING = frozenset((Reason.BROKEN, Reason.COPY, Reason.NEAR_COPY, Reason.CONTRADICTION))
"""Why a file that is an image by its name is not used all the same."""


@dataclass(frozen=True)
class FolderRules:
    """How a user's folder is read.

    ignore: patterns of files and folders to pass over, see `account.unused_by_name`. names: folder -> name of its
    class, for folders in any script; several folders may be one class. copies: what is done with test images that are
    copies of others, see `workloads.data.copies`. group: a regular expression that is searched for in a file's name;
    images for which its groups (all that it matches, where it has none) are equal show one thing.
    """

    ignore: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    copies: Copies = "leave_out"
    group: str | None = None


DEFAULT_RULES = FolderRules()


@dataclass(frozen=True)
class LeftOut:
    """Files that are not used for one reason: how many, and the first names, escaped."""

    reason: str
    count: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.count:,} {self.reason}: {few_of(self.names, self.count)}"


@dataclass(frozen=True)
class Account:
    """How many images of a folder, a file or an archive are used, and what is not, in the order of `Reason`.

    folders: class folder ("train/good") -> how many of its images are used, and how many of its files are not.
    """

    used: int = 0
    left_out: tuple[LeftOut, ...] = ()
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def unused(self) -> int:
        return sum(item.count for item in self.left_out)

    @property
    def details(self) -> str:
        """What is not used as the details of a UserError: a line a reason."""
        return "\n".join(f"  {item}" for item in self.left_out)


Unused = tuple[Reason, str]
"""Why a file is not used, and its name, escaped."""


def account_of(used: int, unused: Sequence[Unused], images: Iterable[str] = ()) -> Account:
    """The account of `used` images and of the files that are not used. images: names of those that lie in class
    folders, whether they are used or not."""
    by_reason: dict[Reason, list[str]] = {}
    for reason, name in unused:
        by_reason.setdefault(reason, []).append(name)
    left_out = (
        LeftOut(reason.value, len(by_reason[reason]), tuple(by_reason[reason][:NAMED]))
        for reason in Reason
        if reason in by_reason
    )
    counts = Counter(folder for name in images if (folder := name.rpartition("/")[0]))
    folders = _folders_without({folder: (count, 0) for folder, count in counts.items()}, unused)
    return Account(used, tuple(left_out), folders)


def _folders_without(folders: Mapping[str, tuple[int, int]], unused: Iterable[Unused]) -> dict[str, tuple[int, int]]:
    """`Account.folders` once further files are not used: of those that are images by their names one less is."""
    counts = dict(folders)
    for reason, name in unused:
        folder = next((str(path) for path in PurePosixPath(name).parents if str(path) in counts), None)
        if folder is not None:
            used, others = counts[folder]
            counts[folder] = (used - (reason in AFTER_READING), others + 1)
    return counts


def account_without(account: Account, unused: Sequence[Unused]) -> Account:
    """The account once further images, which it has as used, are not used."""
    more = account_of(account.used - len(unused), unused)
    return Account(more.used, (*account.left_out, *more.left_out), _folders_without(account.folders, unused))


def unused_by_name(name: str, ignore: Sequence[str] = ()) -> Reason | None:
    """Why a file of this name is not used; None for an image's name. The one rule for folders, archives and stores.

    name: the path below the folder, its parts divided by "/". ignore: patterns as `fnmatch` has them, case and all; one
    without a "/" is held against every part of the path, the others against the whole path, in which "*" crosses "/".
    """
    path = PurePosixPath(name)
    if reason := unused_by_place(path):
        return reason
    if any(matches(path, pattern) for pattern in ignore):
        return Reason.IGNORED
    return unused_by_ending(path)


def unused_by_place(path: PurePosixPath) -> Reason | None:
    """Why nobody wants a file here, whatever it holds: it is hidden, or a system keeps it for itself."""
    parts = [part.lower() for part in path.parts]
    if SHADOWS in parts or path.name.startswith(SHADOW):
        return Reason.SHADOW
    if not SYSTEM_NAMES.isdisjoint(parts):
        return Reason.SYSTEM
    return Reason.HIDDEN if any(part.startswith(".") for part in parts) else None


def unused_by_ending(path: PurePosixPath) -> Reason | None:
    """Why a file with this ending is no image that is read."""
    ending = path.suffix.lower()
    if ending in SUFFIXES:
        return None
    if ending in UNREAD_SUFFIXES:
        return Reason.FORMAT
    return Reason.ARCHIVE if path.name.lower().endswith(ARCHIVES) else Reason.ENDING


def matches(path: PurePosixPath, pattern: str) -> bool:
    """Whether a pattern of `ignore` leaves a path out."""
    texts = (path.as_posix(),) if "/" in pattern.rstrip("/") else path.parts
    return any(fnmatchcase(text, pattern.rstrip("/")) for text in texts)


def escaped(name: str) -> str:
    """A file's name with what is no UTF-8 escaped: file names may be any bytes, tables not."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def few_of(names: Sequence[str], count: int | None = None) -> str:
    """The first names, for a message. count: of all, where `names` are the first of them already."""
    return "; ".join(names[:NAMED]) + ("; ..." if (count or len(names)) > NAMED else "")
