"""Tar shards as WebDataset lays them out: images of any names in plain .tar files; a tar file is a part."""

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from upath import UPath

from orchestrator.general.sources.base import (
    TRAIN,
    Bad,
    Listing,
    Part,
    Rows,
    decoded,
    files_below,
    named_parts,
)
from workloads.data.folder import SUFFIXES

MAX_FILE = 1 << 28  # bytes of one image file; a corrupt header must not ask for all of the memory


@dataclass(frozen=True)
class TarSource:
    """All .tar files below `path` (or one file). An image's id is tar/member, its offset the byte of its data."""

    path: str
    side: int

    def facts(self) -> Mapping[str, Any]:
        return {"kind": "webdataset", "side": self.side, **self._listing().facts()}

    def parts(self, images: int) -> list[Part]:  # noqa: ARG002 - a tar file can be read from its beginning only
        return named_parts(TRAIN, ((str(file), 0) for file in self._listing().files))

    def read(self, part: Part, rows: int) -> Iterator[Rows | Bad]:
        file = UPath(part.what)
        broken: list[Bad] = []

        def items() -> Iterator[tuple[str, int, bytes]]:
            try:
                with file.open("rb") as opened, tarfile.open(fileobj=opened, mode="r|") as tar:
                    for member in tar:
                        if not member.isfile() or PurePosixPath(member.name).suffix.lower() not in SUFFIXES:
                            continue
                        name = f"{file.name}/{member.name}"
                        if member.size > MAX_FILE:
                            broken.append(Bad(name, f"{member.size:,} bytes, more than the limit", b""))
                            continue
                        data = tar.extractfile(member)
                        yield name, member.offset_data, data.read() if data else b""
            except (tarfile.TarError, EOFError) as error:
                broken.append(Bad(file.name, f"the tar file ends or breaks here: {error}", b""))

        yield from decoded(items(), self.side, rows)
        yield from broken

    def _listing(self) -> Listing:
        return files_below(UPath(self.path), (".tar",))
