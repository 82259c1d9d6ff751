"""A folder of image files, at any depth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from orchestrator.data.auxiliary.sources.base import (
    TRAIN,
    Bad,
    Listing,
    Part,
    Rows,
    decoded,
    file_at,
    files_below,
    named_parts,
    part_size,
)
from workloads.data.reading.decode import UnreadableError
from workloads.data.reading.folder import SUFFIXES, check_file, escaped


@dataclass(frozen=True)
class FolderSource:
    """Every image file below `path`; its id is its path from there. Links that lead out of it are bad images."""

    path: str
    side: int

    def facts(self) -> Mapping[str, Any]:
        return {"kind": "folder", "side": self.side, **self._listing().facts()}

    def parts(self, images: int, least: int = 1) -> list[Part]:
        names = self._listing().names
        images = part_size(len(names), images, least)
        pieces = (names[first : first + images] for first in range(0, len(names), images))
        return named_parts(TRAIN, ((piece, len(piece)) for piece in pieces))

    def read(self, part: Part, rows: int) -> Iterator[Rows | Bad]:
        root = UPath(self.path)
        bad: list[Bad] = []

        def items() -> Iterator[tuple[str, int, bytes]]:
            for name in part.what:
                file = file_at(root, name)
                try:
                    if isinstance(file, Path):
                        check_file(file, root.resolve())
                    yield name, 0, file.read_bytes()
                except (UnreadableError, FileNotFoundError, PermissionError) as error:
                    bad.append(Bad(escaped(name), str(error), b""))

        yield from decoded(items(), self.side, rows)
        yield from bad

    def _listing(self) -> Listing:
        return files_below(UPath(self.path), SUFFIXES)
