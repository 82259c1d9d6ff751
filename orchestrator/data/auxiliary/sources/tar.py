"""Tar shards as WebDataset lays them out: images of any names in plain .tar files."""

import contextlib
import itertools
import math
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from upath import UPath

from orchestrator.data.auxiliary.sources.base import (
    TRAIN,
    Bad,
    Broken,
    FileSource,
    Piece,
    Rows,
    decoded,
    named_pieces,
)
from workloads.data.reading.account import Reason, escaped
from workloads.data.reading.listing import MAX_MEMBER, check_end, check_plain, members, unused_member


@dataclass(frozen=True)
class TarSource(FileSource):
    """All .tar files below `path` (or one file). An image's id is tar/member, its offset the byte of its data.

    A tar file is a piece; where there are few, each is several, and is looked through for where these begin.
    choose: a pattern of the members to take, such as ``*.img.png`` where samples hold masks, too.
    """

    choose: str | None = None
    kind = "webdataset"
    suffixes = (".tar",)

    def facts(self) -> Mapping[str, Any]:
        return super().facts() if self.choose is None else {**super().facts(), "choose": self.choose}

    def pieces(self, images: int, least: int = 1) -> list[Piece]:  # noqa: ARG002 - how many a tar holds, only reading tells
        names = self.listing().names
        first = self.file(names[0])  # of a set all are compressed, or none: another one is a broken file
        with first.open("rb") as opened:
            check_plain(opened, str(first))
        count = math.ceil(least / len(names))
        whats: list[tuple[Any, int]] = []
        for name in names:
            begins = [0, *(cuts(self.file(name), count, self.choose) if count > 1 else ())]
            whats += [((name, begin, end), 0) for begin, end in itertools.zip_longest(begins, begins[1:])]
        return named_pieces(TRAIN, whats)

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        return decoded(self._items(*piece.what), self.side, rows)

    def _items(self, name: str, begin: int, end: int | None) -> Iterator[tuple[str, int, bytes] | Bad]:
        try:
            with self.file(name).open("rb") as opened:
                opened.seek(begin)
                with tarfile.open(fileobj=opened, mode="r|") as tar:
                    for member in image_members(tar, self.choose):
                        if end is not None and begin + member.offset >= end:
                            return
                        if member.size > MAX_MEMBER:
                            reason = f"{member.size:,} bytes, more than the limit"
                            yield Bad(escaped(f"{name}/{member.name}"), reason, b"")
                            continue
                        data = tar.extractfile(member)
                        yield f"{name}/{member.name}", begin + member.offset_data, data.read() if data else b""
                    check_end(opened, begin + tar.offset)
        except (tarfile.TarError, EOFError) as error:
            yield Broken(escaped(name), f"the tar file ends or breaks here: {error}", b"")


def image_members(tar: tarfile.TarFile, choose: str | None) -> Iterator[tarfile.TarInfo]:
    """The images whose names match the pattern, all where there is none; what is too large is among them and named by
    who reads it."""
    for member in members(tar):
        if unused_member(member) in (None, Reason.BROKEN) and fnmatchcase(member.name, choose or "*"):
            yield member


def cuts(file: UPath, count: int, choose: str | None) -> list[int]:
    """Where in a tar file the second and later of `count` pieces begin, each of about as many images. As far as it can
    be read, and only its headers are."""
    begins: list[int] = []
    with (
        contextlib.suppress(tarfile.TarError, EOFError),
        file.open("rb") as opened,
        tarfile.open(fileobj=opened, mode="r:") as tar,
    ):
        begins.extend(member.offset for member in image_members(tar, choose))
    return [int(some[0]) for some in np.array_split(begins, count)[1:] if len(some)]
