"""One piece of a source -> one Parquet shard, with its checksum, what was left out of it, and why. No Ray here."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from orchestrator.data.auxiliary.manifest import (
    Shard,
    ShardLayout,
    quarantine_file,
    record_file,
    shard_file,
)
from orchestrator.data.auxiliary.sources.base import Bad, Broken, Piece, Rows
from workloads.data.duplicates import Known
from workloads.files import write_checked

QUARANTINE_BYTES = 64 << 20
"""Of bad images' files that a shard keeps; of any more only the name and the reason, for they wait in memory."""
QUARANTINE = pa.schema([("id", pa.string()), ("reason", pa.string()), ("raw", pa.binary())])


def write_shard(
    path: str, layout: ShardLayout, known: Known | None, piece: Piece, stream: Iterable[Rows | Bad]
) -> Shard:
    """Write the shard of a piece and, last, its record. Images in `known` are left out. Equal input, equal bytes."""
    counts = Counts(layout)
    file = shard_file(path, piece.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with hashed(file) as sink, pq.ParquetWriter(sink, schema(layout), **OPTIONS) as writer:
        for table in grouped(counts.kept(stream, known), layout):
            writer.write_table(table, row_group_size=layout.group_rows)
            counts.groups.append(len(table))
    if counts.bad:
        bad = quarantine_file(path, piece.name)
        bad.parent.mkdir(parents=True, exist_ok=True)
        with bad.open("wb") as opened:
            pq.write_table(pa.Table.from_pylist([asdict(b) for b in counts.bad], QUARANTINE), opened)
    shard = Shard(
        name=piece.name,
        split=piece.split,
        rows=sum(counts.groups),
        groups=tuple(counts.groups),
        bytes=sink.size,
        sha256=sink.digest.hexdigest(),
        bad=len(counts.bad),
        exact_duplicates=counts.exact,
        near_duplicates=counts.near,
        blank=counts.blank,
        broken=counts.broken,
        sums=tuple(int(v) for v in counts.sums),
        squares=tuple(int(v) for v in counts.squares),
    )
    write_checked(record_file(path, piece.name), json.dumps(asdict(shard)).encode())
    return shard


OPTIONS: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "data_page_size": 1 << 30,
}
"""Pixels of small photographs hardly compress, and one plain page a row group is read at the speed of a copy."""


def schema(layout: ShardLayout) -> pa.Schema:
    shape = f"{layout.channels},{layout.side},{layout.side}"
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("image", pa.binary(layout.image_bytes), nullable=False),
    ]
    return pa.schema(fields, metadata={"shape": shape})


@dataclass
class Counts:
    """What one shard has seen so far."""

    layout: ShardLayout
    groups: list[int] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    exact: int = 0
    near: int = 0
    blank: int = 0
    broken: int = 0
    quarantined: int = 0  # bytes

    def __post_init__(self) -> None:
        self.sums = np.zeros(self.layout.channels, np.int64)
        self.squares = np.zeros(self.layout.channels, np.int64)

    def kept(self, stream: Iterable[Rows | Bad], known: Known | None) -> Iterator[Rows]:
        """The rows without bad images and without those in `known`, counted on their way."""
        for item in stream:
            if isinstance(item, Bad):
                self.quarantined += len(item.raw)
                self.bad.append(item if self.quarantined <= QUARANTINE_BYTES else replace(item, raw=b""))
                self.broken += isinstance(item, Broken)
                continue
            rows = item
            if known is not None:
                exact, near = known.find(rows.images)
                self.exact += int(exact.sum())
                self.near += int(near.sum())
                rows = take(rows, np.flatnonzero(~(exact | near)))
            self.measure(rows.images)
            yield rows

    def measure(self, images: NDArray[np.uint8]) -> None:
        """Moments and blank images. Sums go over the images first, where NumPy adds whole rows at once."""
        flat = images.reshape(len(images), -1)
        values = flat.sum(axis=0, dtype=np.uint64)
        squares = np.multiply(flat, flat, dtype=np.uint16).sum(axis=0, dtype=np.uint64)  # 255 * 255 fits 16 bits
        self.sums += values.reshape(self.layout.channels, -1).sum(axis=1).astype(np.int64)
        self.squares += squares.reshape(self.layout.channels, -1).sum(axis=1).astype(np.int64)
        self.blank += int((~flat.any(axis=1)).sum())


def take(rows: Rows, index: NDArray[np.intp]) -> Rows:
    if len(index) == len(rows.ids):
        return rows
    return Rows(rows.images[index], [rows.ids[i] for i in index], [rows.offsets[i] for i in index])


def grouped(stream: Iterable[Rows], layout: ShardLayout) -> Iterator[pa.Table]:
    """Tables of exactly `group_rows` rows, the last of the rest: they do not depend on how the source cut its rows."""
    waiting: list[pa.Table] = []
    count = 0
    for rows in stream:
        waiting.append(as_table(rows, layout))
        count += len(waiting[-1])
        while count >= layout.group_rows:
            whole = pa.concat_tables(waiting).combine_chunks()
            yield whole.slice(0, layout.group_rows)
            waiting = [whole.slice(layout.group_rows)]
            count = len(waiting[0])
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def as_table(rows: Rows, layout: ShardLayout) -> pa.Table:
    images = np.ascontiguousarray(rows.images)
    if images.dtype != np.uint8 or images.shape[1:] != (layout.channels, layout.side, layout.side):
        raise ValueError(f"found {images.dtype} {images.shape}, expected {layout}")
    pixels = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(layout.image_bytes), len(images), [None, pa.py_buffer(images)]
    )
    return pa.table([pa.array(rows.ids, pa.string()), pa.array(rows.offsets, pa.int64()), pixels], schema(layout))


class HashedFile:
    """A file that is only written to, and digests and counts what passes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest, self.size, self.closed = file, hashlib.sha256(), 0, False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.digest.update(view)
        self.size += view.nbytes
        return self.file.write(view)

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.closed = True


@contextmanager
def hashed(file: UPath) -> Iterator[HashedFile]:
    """Write a file whole or not at all: beside its place and onto the disk first, or as one object of a store."""
    if not isinstance(file, Path):
        with file.open("wb") as opened:
            yield HashedFile(opened)
        return
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        with partial.open("wb") as opened:
            yield HashedFile(opened)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
