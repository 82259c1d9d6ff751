"""The image files of a folder, a file or a tar archive, walked through once, with the account of all other files."""

import os
import tarfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from workloads.data.reading.account import (
    SUFFIXES,
    Account,
    Reason,
    Unused,
    account_of,
    escaped,
    unused_by_ending,
    unused_by_name,
    unused_by_place,
)
from workloads.errors import UserError, closest

TAR = ".tar"
COMPRESSED = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ",
    "zstd": b"\x28\xb5\x2f\xfd",
    "zip": b"PK\x03\x04",
}
"""How files of these kinds begin."""
MAX_MEMBER = 1 << 28  # bytes of an image in an archive; a corrupt header must not ask for all of the memory


@dataclass(frozen=True)
class ImageFile:
    """One image as it lies on disk.

    name: its path below the folder that was listed, or archive/member; escaped, for tables. path: the file that holds
    its bytes; offset and size: where they lie in it, of an archive's member.
    """

    name: str
    path: Path
    offset: int = 0
    size: int | None = None

    def open(self) -> IO[bytes]:
        """Its bytes, as `decode` takes them. Raises OSError."""
        if self.size is None:
            return self.path.open("rb")
        with self.path.open("rb") as archive:
            archive.seek(self.offset)
            return BytesIO(archive.read(self.size))


@dataclass(frozen=True)
class Listing:
    """The images, sorted by name (an archive's in its order), and what else lies there with the reason."""

    images: tuple[ImageFile, ...]
    unused: tuple[Unused, ...]

    def account(self, unreadable: Sequence[str] = ()) -> Account:
        """The account once the images were read. unreadable: those that could not be, each "name (why)"."""
        broken = [(Reason.BROKEN, name) for name in unreadable]
        return account_of(len(self.images) - len(broken), [*self.unused, *broken])


def list_images(place: Path, ignore: Sequence[str] = ()) -> Listing:
    """The images of a folder and all folders in it, of a tar archive, or of one image file.

    ignore: patterns of what to leave out, see `account.unused_by_name`. Nothing is decoded, of an archive only the
    headers are read. Raises UserError for what is not there, a file of another kind, a compressed or broken archive,
    and where there is no image.
    """
    if not place.exists():
        near = closest(place.name, os.listdir(place.parent)) if place.parent.is_dir() else ""
        raise UserError("there is no such file or folder", where=escaped(str(place)), nearest=escaped(near))
    if place.is_dir():
        listing = _folder_listing(place, ignore)
    elif place.suffix.lower() == TAR:
        listing = _tar_listing(place, ignore)
    else:
        listing = _single(place)
    check_images(listing, escaped(str(place)), f"give images that end in {', '.join(sorted(SUFFIXES))}")
    return listing


def check_images(listing: Listing, where: str, fix: str) -> None:
    """Raises UserError, with what lies there instead, where there is no image."""
    if not listing.images:
        raise UserError("there are no images", where=where, details=listing.account().details, fix=fix)


def walk(
    root: Path, ignore: Sequence[str] = (), followed: Collection[Path] = ()
) -> Iterator[tuple[Path, Reason | None]]:
    """Every file below the resolved folder `root`, sorted by path, and why it is not used; None for an image.

    A link to a folder is not entered, but named itself, unless it is in `followed` and stays within `root`.
    """
    yield from _walk(root, root, ignore, followed)


def _walk(
    folder: Path, root: Path, ignore: Sequence[str], followed: Collection[Path]
) -> Iterator[tuple[Path, Reason | None]]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = Path(entry.path)
        reason = unused_by_name(path.relative_to(root).as_posix(), ignore)
        if not entry.is_dir():
            yield path, reason or _unused_by_kind(path, root)
        elif not entry.is_symlink() or (path in followed and path.resolve().is_relative_to(root)):
            yield from _walk(path, root, ignore, followed)
        else:
            yield path, unused_by_place(PurePosixPath(path.relative_to(root))) or Reason.LINK


def _unused_by_kind(path: Path, root: Path) -> Reason | None:
    """Links out of the folder, and what is no regular file: opening a named pipe would wait for ever."""
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        return Reason.LINK
    return None if path.is_file() else Reason.IRREGULAR


def _folder_listing(folder: Path, ignore: Sequence[str]) -> Listing:
    root = folder.resolve()
    images: list[ImageFile] = []
    unused: list[Unused] = []
    for path, reason in walk(root, ignore):
        name = escaped(path.relative_to(root).as_posix())
        if reason is None:
            images.append(ImageFile(name, path))
        else:
            unused.append((reason, name))
    return Listing(tuple(images), tuple(unused))


def _tar_listing(file: Path, ignore: Sequence[str]) -> Listing:
    images: list[ImageFile] = []
    unused: list[Unused] = []
    archive = escaped(file.name)
    with file.open("rb") as opened:
        check_plain(opened, escaped(str(file)))
        try:
            with tarfile.open(fileobj=opened, mode="r:") as tar:
                for member in members(tar):
                    name = f"{archive}/{escaped(member.name.removeprefix('./'))}"
                    if reason := unused_member(member, ignore):
                        unused.append((reason, name))
                    else:
                        images.append(ImageFile(name, file, member.offset_data, member.size))
                check_end(opened, tar.offset)
        except (tarfile.TarError, EOFError) as error:
            if not images and not unused:
                headline = f"this is no tar archive: {error}"
                raise UserError(headline, where=escaped(str(file)), fix="make it again") from error
            unused.append((Reason.BROKEN, f"{archive} (it breaks off, nobody can tell what lay behind: {error})"))
    return Listing(tuple(images), tuple(unused))


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """All members but folders, with no memory of those before."""
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined] # it would keep what it knows of all
        if not member.isdir():
            yield member


def check_plain(opened: IO[bytes], archive: str) -> None:
    """Raises UserError for a compressed archive, which cannot be read from the middle; rewinds."""
    begin = opened.read(max(map(len, COMPRESSED.values())))
    opened.seek(0)
    kind = next((name for name, magic in COMPRESSED.items() if begin.startswith(magic)), None)
    if kind:
        raise UserError(f"this archive is compressed ({kind})", where=archive, fix=f"unpack it, or make a plain {TAR}")


def check_end(opened: IO[bytes], offset: int) -> None:
    """Raises ReadError where the archive does not end at `offset`, where its reader stopped: it takes a damaged header,
    zeros, and a file that was cut between two members, for the end."""
    opened.seek(offset)
    if opened.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no header and no mark of the end at byte {offset:,}")
    while rest := opened.read(1 << 20):
        if any(rest):
            raise tarfile.ReadError(f"more behind the mark of the end at byte {offset:,}")


def unused_member(member: tarfile.TarInfo, ignore: Sequence[str] = ()) -> Reason | None:
    """Why a member of an archive, which is no folder, is not used; None for an image."""
    if reason := unused_by_name(member.name.removeprefix("./"), ignore):
        return reason
    if not member.isfile():
        return Reason.LINK if member.issym() or member.islnk() else Reason.IRREGULAR
    return Reason.BROKEN if member.size > MAX_MEMBER else None


def _single(file: Path) -> Listing:
    """One image file that was named: whatever its name begins with."""
    reason = unused_by_ending(PurePosixPath(file))
    if reason is None:
        return Listing((ImageFile(escaped(file.name), file),), ())
    if reason == Reason.ARCHIVE:
        fix = f"give a plain {TAR}: {file.suffix} cannot be read from the middle; unpack or gunzip it"
        raise UserError("an archive of a kind that is not read", where=escaped(str(file)), fix=fix)
    raise UserError("no image by its ending", where=escaped(str(file)), fix=f"one of {', '.join(sorted(SUFFIXES))}")
