"""Pixels out of prepared shards, by row group. Footers are kept, so a shard's is read once by a process."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from orchestrator.general.manifest import Manifest


@lru_cache(maxsize=4)
def manifest_at(path: str) -> Manifest:
    """The manifest of a finished set; it never changes."""
    return Manifest.read(path)


@lru_cache(maxsize=4096)
def footer(file: str) -> pq.FileMetaData:
    with UPath(file).open("rb") as opened:
        return pq.read_metadata(opened)


def row_group(file: str, group: int, columns: Sequence[str] = ("image",)) -> pa.RecordBatch:
    """Columns of one row group. From an object store exactly their bytes are asked for, nothing is read ahead."""
    path = UPath(file)
    # Arrow opens a local path itself: through Python's file every byte would be copied once more
    with nullcontext(file) if isinstance(path, Path) else path.open("rb", cache_type="none") as opened:
        parquet = pq.ParquetFile(opened, metadata=footer(file))
        return parquet.read_row_group(group, columns=list(columns), use_threads=False).combine_chunks().to_batches()[0]


def pixels(column: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    """A view of the column's bytes, uint8 (N, C * S * S), without a copy."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    return flat[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)
