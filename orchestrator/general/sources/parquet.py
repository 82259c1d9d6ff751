"""Parquet with encoded images, as Hugging Face's datasets store them: a column of {bytes, path} or of plain binary."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
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
from workloads.errors import BadInputError, closest

AT_ONCE = 256  # encoded images held in memory


@dataclass(frozen=True)
class ParquetSource:
    """All .parquet files below `path` (or one file). An image's id is file/row, its offset its row in the file."""

    path: str
    side: int
    column: str = "image"

    def facts(self) -> Mapping[str, Any]:
        return {"kind": "parquet", "side": self.side, "column": self.column, **self._listing().facts()}

    def parts(self, images: int) -> list[Part]:
        found: list[tuple[Any, int]] = []
        for file in self._listing().files:
            with file.open("rb") as opened:
                parquet = opened_parquet(pq.ParquetFile, opened, file)
                self._check(parquet.schema_arrow, file)
                counts = [parquet.metadata.row_group(g).num_rows for g in range(parquet.num_row_groups)]
            groups: list[int] = []
            first = held = 0
            for group, count in enumerate(counts):
                groups.append(group)
                held += count
                if held >= images or group == len(counts) - 1:
                    found.append(((str(file), groups, first), held))
                    groups, first, held = [], first + held, 0
        return named_parts(TRAIN, found)

    def read(self, part: Part, rows: int) -> Iterator[Rows | Bad]:
        path, groups, first = part.what
        file = UPath(path)

        def items() -> Iterator[tuple[str, int, bytes]]:
            row = first
            with file.open("rb") as opened:
                for batch in pq.ParquetFile(opened).iter_batches(AT_ONCE, row_groups=groups, columns=[self.column]):
                    column = batch.column(0)
                    values = column.field("bytes") if pa.types.is_struct(column.type) else column
                    for value in values:
                        yield f"{file.name}/{row:09d}", row, value.as_py() or b""
                        row += 1

        yield from decoded(items(), self.side, rows)

    def _check(self, schema: pa.Schema, file: UPath) -> None:
        if self.column not in schema.names:
            raise BadInputError(
                f"no column {self.column!r}",
                where=str(file),
                nearest=closest(self.column, schema.names),
                fix=f"--column: one of {', '.join(schema.names)}",
            )
        kind = schema.field(self.column).type
        inner = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
        if not (pa.types.is_binary(inner) or pa.types.is_large_binary(inner)):
            raise BadInputError(
                f"the column {self.column!r} is {kind}",
                where=str(file),
                fix="encoded images are binary, or {bytes, path}",
            )

    def _listing(self) -> Listing:
        return files_below(UPath(self.path), (".parquet",))


def opened_parquet(opener: Any, opened: Any, file: UPath) -> Any:
    try:
        return opener(opened)
    except pa.ArrowInvalid as error:
        raise BadInputError(f"no Parquet file: {error}", where=str(file)) from error
