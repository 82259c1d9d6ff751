"""Parquet with encoded images, as Hugging Face's datasets store them: a column of {bytes, path} or of plain binary."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from orchestrator.data.auxiliary.sources.base import Bad, Piece, Rows, RowSource, decoded
from workloads.data.reading.account import escaped
from workloads.errors import UserError, closest

AT_ONCE = 256  # encoded images held in memory


@dataclass(frozen=True)
class ParquetSource(RowSource):
    """All .parquet files below `path` (or one file). An image's id is file/row, its offset its row in the file."""

    column: str = "image"
    kind = "parquet"
    suffixes = (".parquet",)

    def facts(self) -> Mapping[str, Any]:
        return {"kind": self.kind, "side": self.side, "column": self.column, **self.listing().facts()}

    def rows_of(self, file: UPath) -> int:
        with file.open("rb") as opened:
            parquet = opened_parquet(opened, file)
            self._check(parquet.schema_arrow, file)
            return int(parquet.metadata.num_rows)

    def read(self, piece: Piece, rows: int) -> Iterator[Rows | Bad]:
        name, first = piece.what
        return decoded(self._items(name, first, piece.images), self.side, rows)

    def _items(self, name: str, first: int, images: int) -> Iterator[tuple[str, int, bytes] | Bad]:
        file, last, end = self.file(name), first + images, 0
        with file.open("rb") as opened:
            parquet = opened_parquet(opened, file)
            for group in range(parquet.num_row_groups):
                begin, end = end, end + parquet.metadata.row_group(group).num_rows
                at = max(first, begin)
                try:
                    for row, raw in encoded(parquet, group, self.column, range(at - begin, min(last, end) - begin)):
                        at = begin + row
                        yield f"{name}/{at:09d}", at, raw
                        at += 1
                except Exception as error:
                    if not is_damage(error):
                        raise
                    reason = f"row group {group} is damaged: {error}"
                    yield from (Bad(f"{escaped(name)}/{n:09d}", reason, b"") for n in range(at, min(last, end)))

    def _check(self, schema: pa.Schema, file: UPath) -> None:
        if self.column not in schema.names:
            near, fix = closest(self.column, schema.names), f"--column: one of {', '.join(schema.names)}"
            raise UserError(f"no column {self.column!r}", where=str(file), nearest=near, fix=fix)
        kind = schema.field(self.column).type
        inner = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
        if not (pa.types.is_binary(inner) or pa.types.is_large_binary(inner)):
            fix = "encoded images are binary, or {bytes, path}"
            raise UserError(f"the column {self.column!r} is {kind}", where=str(file), fix=fix)


def encoded(parquet: pq.ParquetFile, group: int, column: str, wanted: range) -> Iterator[tuple[int, bytes]]:
    """(row, bytes) of some rows of a row group; nothing is read where none are wanted."""
    row = 0
    for batch in parquet.iter_batches(AT_ONCE, row_groups=[group], columns=[column]) if wanted else ():
        values = batch.column(0)
        for value in values.field("bytes") if pa.types.is_struct(values.type) else values:
            if row in wanted:
                yield row, value.as_py() or b""
            row += 1
        if row >= wanted.stop:
            return


def opened_parquet(opened: Any, file: UPath) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(opened)
    except Exception as error:
        if not is_damage(error):
            raise
        raise UserError(f"no Parquet file: {error}", where=str(file)) from error


def is_damage(error: Exception) -> bool:
    """Whether an error of Arrow's is about what lies in a file, and not about a disk or a network that fails."""
    failing = isinstance(error, TimeoutError) or getattr(error, "errno", None) is not None
    return isinstance(error, (pa.ArrowInvalid, OSError)) and not failing
