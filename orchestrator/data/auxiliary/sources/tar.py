"""Tar shards as WebDataset lays them out: images of any names in plain .tar files."""

import contextlib
import itertools
import math
import tarfile
from collections.abc import Iterator
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


class TarSource(FileSource):
    """All .tar files below `path` (or one file). An image's id is tar/member, its offset the byte of its data.

    A tar file is a piece; where there are few, each is several, and is looked through for where these begin.
    """

    kind = "webdataset"
    suffixes = (".tar",)

    def pieces(self, images: int, least: int = 1) -> list[Piece]:  # noqa: ARG002 - how many a tar holds, only reading tells
        names = self.listing().names
        for name in names:
            with self.file(name).open("rb") as opened:
                check_plain(opened, str(self.file(name)))
        count = math.ceil(least / len(names))
        whats: list[tuple[Any, int]] = []
        for name in names:
            begins = [0, *(cuts(self.file(name), count) if count > 1 else ())]
            whats += [((name, begin, end), 0) for begin, end in itertools.zip_longest(begins, begins[1:])]
        return named_pieces(TRAIN, whats)

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        return decoded(self._items(*piece.what), self.side, rows)

    def _items(self, name: str, begin: int, end: int | None) -> Iterator[tuple[str, int, bytes] | Bad]:
        try:
            with self.file(name).open("rb") as opened:
                opened.seek(begin)
                with tarfile.open(fileobj=opened, mode="r|") as tar:
                    for member in image_members(tar):
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


def image_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The images; what is too large is among them and named by who reads it."""
    return (member for member in members(tar) if unused_member(member) in (None, Reason.BROKEN))


def cuts(file: UPath, count: int) -> list[int]:
    """Where in a tar file the second and later of `count` pieces begin, each of about as many images. As far as it can
    be read, and only its headers are."""
    begins: list[int] = []
    with (
        contextlib.suppress(tarfile.TarError, EOFError),
        file.open("rb") as opened,
        tarfile.open(fileobj=opened, mode="r:") as tar,
    ):
        begins.extend(member.offset for member in image_members(tar))
    return [int(some[0]) for some in np.array_split(begins, count)[1:] if len(some)]
