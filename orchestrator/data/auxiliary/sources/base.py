"""How auxiliary images come in, whatever format they lie in: what a source must say and do. No Ray here."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from workloads.data.reading.account import escaped, unused_by_place
from workloads.data.reading.decode import UnreadableError, decode
from workloads.errors import UserError

TRAIN, TEST = "train", "test"
KEPT_BYTES = 1 << 20  # of a bad image's file that go into quarantine


@dataclass(frozen=True)
class Piece:
    """The images of one shard of a source: a unit of work that any machine can do alone.

    name: of the shard, unique, safe in paths. split: train or test. what: plain data that its source understands.
    images: how many are expected, 0 where only reading tells.
    """

    name: str
    split: str
    what: Any
    images: int


@dataclass(frozen=True)
class Rows:
    """Some images in a row: uint8 (N, 3, S, S), their ids, and where each begins in its source file (bytes or rows)."""

    images: NDArray[np.uint8]
    ids: list[str]
    offsets: list[int]


@dataclass(frozen=True)
class Bad:
    """An image that cannot be used: its id, why, and the beginning of its file."""

    id: str
    reason: str
    raw: bytes


class Broken(Bad):
    """A source file that breaks off: how many images lay behind that, nobody can tell."""


class SourceFormat(Protocol):
    """Images from somewhere. Frozen and picklable: it travels to the machines that read."""

    @property
    def side(self) -> int: ...

    def facts(self) -> Mapping[str, Any]:
        """What identifies the content, as plain data: a prepare that continues must find the same."""
        ...

    def pieces(self, images: int, least: int = 1) -> Sequence[Piece]:
        """All pieces of about `images` images, always the same in the same order; of fewer where there would not be
        `least` pieces. Raises UserError where the source cannot be used, before any work begins."""
        ...

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        """The piece's images in order, at most `rows` at a time."""
        ...


def named_pieces(split: str, whats: Iterable[tuple[Any, int]]) -> list[Piece]:
    """Pieces from (what, images) in their order."""
    return [Piece(f"{split}-{number:06d}", split, what, images) for number, (what, images) in enumerate(whats)]


def piece_size(total: int, images: int, least: int) -> int:
    """Images of a piece: `images`, or fewer so that `total` images make `least` pieces."""
    return images if math.ceil(total / images) >= least else max(1, total // least)


def version_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """Size in bytes, and what the file's system says of its version: an ETag, or the time of the last change."""
    version = next((info[key] for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified") if info.get(key)), None)
    return {"bytes": int(info["size"] or 0), "version": str(version)}


def file_facts(file: UPath) -> dict[str, Any]:
    return version_of(file.fs.info(file.path))


@dataclass(frozen=True)
class Listing:
    """The files of a source: their paths below its root in order (a single file's own name), and a digest over these,
    their sizes and versions. A source may lie elsewhere when a prepare continues, so nothing else names its files."""

    root: UPath
    names: list[str]
    digest: str

    def facts(self) -> dict[str, Any]:
        return {"files": len(self.names), "digest": self.digest}


def files_below(root: UPath, suffixes: Iterable[str]) -> Listing:
    """Every visible file below a folder with one of the endings, in order of their paths; or the file itself.

    One listing tells names and versions: object stores answer a thousand at a time. Raises UserError where there is
    none.
    """
    endings, base = tuple(suffixes), root.path.rstrip("/")
    if root.is_file():
        return Listing(root, [root.name], content_digest([(root.name, file_facts(root))]))
    listed = root.fs.find(base, detail=True) if root.exists() else {}
    names = {name.removeprefix(base).lstrip("/"): version_of(info) for name, info in sorted(listed.items())}
    shown = {
        name: version
        for name, version in names.items()
        if name.lower().endswith(endings) and unused_by_place(PurePosixPath(name)) is None
    }
    if not shown:
        headline = "no files of this kind here" if root.exists() else "there is nothing here"
        fix = f"give a folder that holds files ending in {', '.join(sorted(endings))}"
        raise UserError(headline, where=str(root), fix=fix)
    return Listing(root, list(shown), content_digest(list(shown.items())))


def content_digest(items: Sequence[object]) -> str:
    return hashlib.sha256(repr(items).encode()).hexdigest()


@dataclass(frozen=True)
class FileSource:
    """Files of one format below a folder, or a single one. Small: the files are listed where they are asked for."""

    path: str
    side: int
    kind: ClassVar[str]
    suffixes: ClassVar[Collection[str]]

    def facts(self) -> Mapping[str, Any]:
        return {"kind": self.kind, "side": self.side, **self.listing().facts()}

    def listing(self) -> Listing:
        return files_below(UPath(self.path), self.suffixes)

    def file(self, name: str) -> UPath:
        """The file that the listing names so."""
        root = UPath(self.path)
        return root if root.name == name and root.is_file() else root / name


class RowSource(FileSource, ABC):
    """Files that say how many images they hold. A piece is some rows of one file, its `what` (name, first row)."""

    @abstractmethod
    def rows_of(self, file: UPath) -> int:
        """Raises UserError for a file that is not of the format."""

    def pieces(self, images: int, least: int = 1) -> list[Piece]:
        totals = {name: self.rows_of(self.file(name)) for name in self.listing().names}
        size = piece_size(sum(totals.values()), images, least)
        ranges = (
            ((name, first), min(size, total - first))
            for name, total in totals.items()
            for first in range(0, total, size)
        )
        return named_pieces(TRAIN, ranges)


def decoded(items: Iterable[tuple[str, int, bytes] | Bad], side: int, rows: int) -> Iterator[Rows | Bad]:
    """Encoded images (name, offset, bytes) as rows of (3, side, side): the centre square, resized. Bad ones are named,
    those that came as such last. An id is the name, escaped."""
    images: list[NDArray[np.uint8]] = []
    ids: list[str] = []
    offsets: list[int] = []
    unread: list[Bad] = []
    for item in items:
        if isinstance(item, Bad):
            unread.append(item)
            continue
        name, offset, raw = item
        try:
            images.append(decode(BytesIO(raw), side))
        except UnreadableError as error:
            yield Bad(escaped(name), str(error), raw[:KEPT_BYTES])
            continue
        ids.append(escaped(name))
        offsets.append(offset)
        if len(images) == rows:
            yield Rows(np.stack(images), ids, offsets)
            images, ids, offsets = [], [], []
    if images:
        yield Rows(np.stack(images), ids, offsets)
    yield from unread
