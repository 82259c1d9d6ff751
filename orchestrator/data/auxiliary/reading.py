"""Pixels out of prepared shards, by row group. Footers are kept, so a shard's is read once by a process."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from orchestrator.data.auxiliary.manifest import Manifest


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


REQUESTS = 8
"""To object storage at once, by a read task: each takes longer to answer than to send its 1.5 MB."""
Fetched = dict[tuple[str, int], "Future[pa.RecordBatch]"]
"""Row groups on their way, by file and number."""
HEADER_BYTES = 38
"""What the header of a page of fixed-size values without statistics takes, at most; those of two pages take more."""


@lru_cache(maxsize=4096)
def plain_page(file: str, group: int) -> int | None:
    """Where in the file the pixels of a row group begin, if they lie there one after the other: a local file, one page,
    no compression. None where only Arrow knows how to read them."""
    if not isinstance(UPath(file), Path):
        return None
    facts = footer(file).row_group(group)
    column = next(c for c in (facts.column(i) for i in range(facts.num_columns)) if c.path_in_schema == "image")
    pixel_bytes = facts.num_rows * footer(file).schema.to_arrow_schema().field("image").type.byte_width
    plain = column.compression == "UNCOMPRESSED" and set(column.encodings) <= {"PLAIN", "RLE"}
    if not plain or not 0 < column.total_compressed_size - pixel_bytes <= HEADER_BYTES:
        return None
    return int(column.data_page_offset) + int(column.total_compressed_size) - pixel_bytes


def announce(pool: Executor, wanted: Iterable[tuple[str, int, int, int]], width: int) -> Fetched:
    """Have rows [first, last) of `width` bytes of row groups, (file, group, first, last), read ahead of `read_pixels`.

    The kernel brings stretches from all over a disk in faster when it knows of many of them. Row groups that have to be
    asked for whole are, once each, by the pool's threads.
    """
    fetched: Fetched = {}
    for file, group, first, last in wanted:
        start = plain_page(file, group)
        if start is None and (file, group) not in fetched:
            fetched[file, group] = pool.submit(row_group, file, group)
        elif start is not None and hasattr(os, "posix_fadvise"):
            with open(file, "rb", buffering=0) as opened:
                place = start + first * width, (last - first) * width
                os.posix_fadvise(opened.fileno(), *place, os.POSIX_FADV_WILLNEED)
    return fetched


def read_pixels(file: str, group: int, first: int, out: NDArray[np.uint8], fetched: Fetched) -> None:
    """Fill `out`, uint8 (n, C * S * S), with rows [first, first + n) of a row group that was announced."""
    start = plain_page(file, group)
    if start is None:
        out[:] = pixels(fetched[file, group].result().column("image"))[first : first + len(out)]
        return
    wanted = out.data.cast("B")
    with open(file, "rb", buffering=0) as opened:
        opened.seek(start + first * out.shape[1])
        while wanted:  # a read may give less than it was asked for
            count = opened.readinto(wanted)
            if not count:
                raise OSError(f"{file} ends within row group {group}")
            wanted = wanted[count:]


def pixels(column: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    """A view of the column's bytes, uint8 (N, C * S * S), without a copy."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    return flat[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)
