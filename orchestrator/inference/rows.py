"""Rows of predictions to a file whose ending says how: CSV, JSON lines or Parquet; there as a whole or not at all."""

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from workloads.errors import UserError, nearest
from workloads.files import PARTIAL, naming

COLUMNS = {
    "image": pa.string(),
    "decision": pa.string(),
    "score": pa.float32(),
    "p_value": pa.float64(),
    "problem": pa.string(),
}
"""Before a score a part; a method whose one part is called `score` has none. decision: normal, anomalous, or
unreadable, which has no score and says its problem."""
Row = dict[str, Any]


class Rows(Protocol):
    def write(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


def checked_out(out: str | Path) -> Path:
    """The file to write. Raises UserError for an ending that says nothing, a folder, and what is no local path."""
    path = Path(out).expanduser()
    fix = f"a local file that ends in {', '.join(KINDS)}"
    if "://" in str(out):
        raise UserError("predictions are written to a local file", where=f"--out {out}", fix=fix)
    if path.is_dir():
        raise UserError("a folder cannot be written to", where=f"--out {out}", fix=f"give {fix}")
    if path.suffix.lower() not in KINDS:
        hint = nearest(path.suffix, KINDS)
        raise UserError(f"the ending {path.suffix!r} says no format; {hint}", where=f"--out {out}", fix=f"give {fix}")
    return path


@contextmanager
def rows_to(path: Path, parts: Sequence[str]) -> Iterator[Rows]:
    """Something that takes rows until the block ends; the file is there once it has ended well. parts: further columns
    of scores."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with naming(path):
            rows = KINDS[path.suffix.lower()](partial, columns_of(parts))
            try:
                yield rows
            finally:
                rows.close()
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def columns_of(parts: Sequence[str]) -> list[str]:
    return [*COLUMNS, *(part for part in parts if part not in COLUMNS)]


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """Of rows in Parquet: scores as float32."""
    return pa.schema([(column, COLUMNS.get(column, pa.float32())) for column in columns])


class CsvRows:
    """A header, then a line an image; nothing where there is no value."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.file = path.open("w", encoding="utf-8", newline="")
        self.rows = csv.DictWriter(self.file, columns)
        self.rows.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        self.rows.writerows([{key: text_of(value) for key, value in row.items()} for row in rows])

    def close(self) -> None:
        self.file.close()


class JsonRows:
    """An object a line; null where there is no value, or where a score is infinite, which JSON cannot say."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.file, self.columns = path.open("w", encoding="utf-8"), columns

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            values = {column: finite(row.get(column)) for column in self.columns}
            self.file.write(json.dumps(values, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self.file.close()


class ParquetRows:
    """A row group a write."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.schema = schema_of(columns)
        self.rows = pq.ParquetWriter(path, self.schema)

    def write(self, rows: Sequence[Row]) -> None:
        self.rows.write_table(pa.Table.from_pylist(list(rows), self.schema))

    def close(self) -> None:
        self.rows.close()


KINDS: dict[str, Callable[[Path, Sequence[str]], Rows]] = {
    ".csv": CsvRows,
    ".jsonl": JsonRows,
    ".parquet": ParquetRows,
}


def text_of(value: Any) -> Any:
    """A float32 in as many digits as tell it from all others."""
    return f"{value:.9g}" if isinstance(value, float) else value


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
