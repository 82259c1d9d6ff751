"""A folder of image files, at any depth."""

from collections.abc import Iterator
from pathlib import Path

from upath import UPath

from orchestrator.data.auxiliary.sources.base import (
    TRAIN,
    Bad,
    FileSource,
    Piece,
    Rows,
    decoded,
    named_pieces,
    piece_size,
)
from workloads.data.reading.account import SUFFIXES, escaped
from workloads.data.reading.decode import UnreadableError
from workloads.data.reading.folder import check_file


class FolderSource(FileSource):
    """Every image file below `path`; its id is its path from there. Links that lead out of it are bad images."""

    kind = "folder"
    suffixes = SUFFIXES

    def pieces(self, images: int, least: int = 1) -> list[Piece]:
        names = self.listing().names
        size = piece_size(len(names), images, least)
        return named_pieces(
            TRAIN, ((some, len(some)) for i in range(0, len(names), size) if (some := names[i : i + size]))
        )

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        return decoded(map(self._item, piece.what), self.side, rows)

    def _item(self, name: str) -> tuple[str, int, bytes] | Bad:
        file = self.file(name)
        try:
            if isinstance(file, Path):
                check_file(file, UPath(self.path).resolve())
            return name, 0, file.read_bytes()
        except (UnreadableError, FileNotFoundError, PermissionError) as error:
            return Bad(escaped(name), str(error), b"")
