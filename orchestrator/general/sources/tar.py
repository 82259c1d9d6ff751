"""Tar shards as WebDataset lays them out: images of any names in plain .tar files."""

import math
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from upath import UPath

from orchestrator.general.sources.base import (
    TRAIN,
    Bad,
    Listing,
    Part,
    Rows,
    decoded,
    file_at,
    files_below,
    named_parts,
)
from workloads.data.folder import SUFFIXES, escaped

MAX_FILE = 1 << 28  # bytes of one image file; a corrupt header must not ask for all of the memory


@dataclass(frozen=True)
class TarSource:
    """All .tar files below `path` (or one file). An image's id is tar/member, its offset the byte of its data.

    A tar file can be read from its beginning only: where there are few, several parts share one, in turn.
    """

    path: str
    side: int

    def facts(self) -> Mapping[str, Any]:
        return {"kind": "webdataset", "side": self.side, **self._listing().facts()}

    def parts(self, images: int, least: int = 1) -> list[Part]:  # noqa: ARG002 - how many a tar holds, only reading tells
        names = self._listing().names
        shares = math.ceil(least / len(names))
        return named_parts(TRAIN, (((name, share, shares), 0) for name in names for share in range(shares)))

    def read(self, part: Part, rows: int) -> Iterator[Rows | Bad]:
        name, share, shares = part.what
        file = file_at(UPath(self.path), name)
        bad: list[Bad] = []

        def items() -> Iterator[tuple[str, int, bytes]]:
            try:
                with file.open("rb") as opened, tarfile.open(fileobj=opened, mode="r|") as tar:
                    for number, member in enumerate(filter(is_image, tar)):
                        if number % shares != share:
                            continue
                        if member.size > MAX_FILE:
                            told = f"{member.size:,} bytes, more than the limit"
                            bad.append(Bad(escaped(f"{name}/{member.name}"), told, b""))
                            continue
                        data = tar.extractfile(member)
                        yield f"{name}/{member.name}", member.offset_data, data.read() if data else b""
                    check_end(opened, tar.offset)
            except (tarfile.TarError, EOFError) as error:
                bad.append(Bad(escaped(name), f"the tar file ends or breaks here: {error}", b""))

        yield from decoded(items(), self.side, rows)
        yield from bad

    def _listing(self) -> Listing:
        return files_below(UPath(self.path), (".tar",))


def is_image(member: tarfile.TarInfo) -> bool:
    return member.isfile() and PurePosixPath(member.name).suffix.lower() in SUFFIXES


def check_end(opened: IO[bytes], offset: int) -> None:
    """Raises ReadError where the archive does not end at `offset`, where its reader stopped: it takes a damaged header,
    and a file that was cut between two members, for the end."""
    opened.seek(offset)
    found = opened.read(tarfile.BLOCKSIZE)
    if found != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"a damaged header at byte {offset:,}" if found else "no mark of its end")
