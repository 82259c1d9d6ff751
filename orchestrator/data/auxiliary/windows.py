"""A stream as workers read it: blocks of whole windows, each block for one worker, and batches out of these. No Ray."""

import itertools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestrator.data.auxiliary.order import POOL_BYTES, Indices, Order, order_of, permutation
from orchestrator.data.auxiliary.reading import REQUESTS, announce, manifest_at, pixels, read_pixels
from workloads.errors import UserError

BLOCK_BYTES = 64 << 20
"""Of pixels, at most, in a block (or one window, where that is larger). Ray takes tens of milliseconds for a task
whatever its size."""
ADDRESS = np.dtype([("block", np.int64), ("row", np.int64)])
"""Where an image lies: the number of its block, and its row there."""


@dataclass(frozen=True)
class StreamSpec:
    """A stream of a prepared set for some workers. Small: it travels with every read task.

    The order depends on the set (or the row groups drawn from it that hold `max_images`), the seed, the batch and the
    pool. Raises UserError for a set that is not there or not finished, and for workers that cannot share the lanes
    as they share a batch: where each lane gives a batch one image, any number up to the batch can.
    """

    path: str
    split: str
    batch: int  # images over all workers
    workers: int
    seed: int
    pool_bytes: int = POOL_BYTES
    max_images: int | None = None  # row groups that hold so many; None is all

    def __post_init__(self) -> None:
        lanes = self.order.lanes
        fits = [w for w in range(1, lanes + 1) if lanes % w == 0 or lanes == self.batch]
        if self.workers not in fits:
            raise UserError(
                f"{self.workers} workers cannot share batches of {self.batch} auxiliary images",
                where="workers",
                nearest=str(min(fits, key=lambda w: abs(w - self.workers))),
                fix=f"use {', '.join(map(str, fits))} workers, or another batch_size",
            )

    @property
    def order(self) -> Order:
        return order_at(self.path, self.split, self.batch, self.seed, self.pool_bytes, self.max_images)

    @property
    def image_bytes(self) -> int:
        return manifest_at(self.path).layout.image_bytes

    @property
    def rows_per_lane(self) -> int:
        """Images that a lane gives every batch."""
        return self.batch // self.order.lanes

    @cached_property
    def lanes_per_worker(self) -> int:
        """The largest number: shares differ by one where the lanes have no equal ones."""
        return math.ceil(self.order.lanes / self.workers)

    @cached_property
    def lanes_per_block(self) -> int:
        fits = max(1, BLOCK_BYTES // (self.order.window * self.image_bytes))
        return max(d for d in range(1, min(self.lanes_per_worker, fits) + 1) if self.lanes_per_worker % d == 0)

    @cached_property
    def blocks_per_round(self) -> int:
        return self.lanes_per_worker // self.lanes_per_block * self.workers

    def lanes_of(self, worker: int) -> range:
        """A worker's lanes, as `workloads.training.distributed.Parallel.rows` has them.

        Without its torch, which would fill every reader.
        """
        lanes = self.order.lanes
        return range(lanes * worker // self.workers, lanes * (worker + 1) // self.workers)

    def lanes(self, block: int) -> range:
        """The lanes of a block, counted over the stream: a worker's last may hold fewer. Blocks go to the workers in
        turn."""
        turn, worker = divmod(block % self.blocks_per_round, self.workers)
        return self.lanes_of(worker)[turn * self.lanes_per_block : (turn + 1) * self.lanes_per_block]

    def block_rows(self, round_: int) -> int:
        """Of every block of a round: its lanes' images, and fillers."""
        return math.ceil(self.order.padded(round_) / self.rows_per_lane) * self.rows_per_lane * self.lanes_per_block

    def place(self, nth: Indices, lane: int) -> Indices:
        """Where in its block the nth image of a lane lies, lane: counted in the block. A batch has a lane's images side
        by side, and so has the block: what a worker needs for a batch is one piece of it."""
        turn, within = np.divmod(nth, self.rows_per_lane)
        return (turn * self.lanes_per_block + lane) * self.rows_per_lane + within

    def first_round(self, position: int) -> int:
        """The earliest round that any lane still needs when the stream stands at `position`."""
        return min(self.order.entry(position, lane)[0] for lane in range(self.order.lanes))

    def blocks(self, start: int, end: int) -> range:
        """Blocks that hold the stream's positions from `start` up to `end`, both multiples of the lanes."""
        lanes = range(self.order.lanes)
        last = max(self.order.entry(end - self.order.lanes, lane)[0] for lane in lanes)
        return range(self.first_round(start) * self.blocks_per_round, (last + 1) * self.blocks_per_round)


class RowGroup(NamedTuple):
    """A row group of a prepared set: its shard's file, its number there, and its rows."""

    file: str
    number: int
    rows: int


@lru_cache(maxsize=8)
def groups_at(path: str, split: str, max_images: int | None = None) -> list[RowGroup]:
    """Every row group of a split, in the manifest's order. max_images: so few, drawn from all over the set, that they
    hold at least so many images; a set may be sorted by what its images show."""
    manifest = manifest_at(path)
    shards = manifest.of_split(split)
    groups = [RowGroup(str(manifest.file(s)), number, rows) for s in shards for number, rows in enumerate(s.groups)]
    if max_images is None:
        return groups
    drawn = permutation(len(groups), "subset", len(groups))
    needed = int(np.searchsorted(np.cumsum([groups[place].rows for place in drawn]), max_images)) + 1
    return [groups[place] for place in np.sort(drawn[:needed])]


@lru_cache(maxsize=8)
def order_at(path: str, split: str, batch: int, seed: int, pool_bytes: int, max_images: int | None) -> Order:
    """A stream's order, made once in a process: it does not depend on the workers."""
    groups = [group.rows for group in groups_at(path, split, max_images)]
    return order_of(groups, manifest_at(path).layout.image_bytes, seed, batch, pool_bytes)


def read_block(spec: StreamSpec, block: int) -> Iterator[pa.Table]:
    """One table: image (fixed-size binary), row (int64, the image's number among those of `groups_at` in their order,
    -1 where there is none), block (int64). In the order of the stream, as far as a block's lanes go (see
    `StreamSpec.place`). Blocks of a round are equally long: what a lane lacks is filled."""
    order, groups = spec.order, groups_at(spec.path, spec.split, spec.max_images)
    round_, lanes = block // spec.blocks_per_round, spec.lanes(block)
    count = spec.block_rows(round_)
    images = np.empty((count, spec.image_bytes), np.uint8)
    spare = np.empty((order.window, spec.image_bytes), np.uint8)  # one for all stretches: it stays in the CPU's cache
    rows = np.full(count, -1, np.int64)
    windows = [order.at(round_, lane) for lane in lanes]
    stretches = [order.stretches(window) for window in windows]
    with ThreadPoolExecutor(REQUESTS) as pool:
        wanted = [(*groups[s.group][:2], s.first, s.last) for s in itertools.chain.from_iterable(stretches)]
        fetched = announce(pool, wanted, spec.image_bytes)
        for number, window in enumerate(windows):
            streamed = np.empty(window.rows, np.int64)  # row of the window -> place in the block
            streamed[order.within(window)] = spec.place(np.arange(window.rows), number)
            for stretch in stretches[number]:
                group = groups[stretch.group]
                positions, streamed = np.split(streamed, [stretch.last - stretch.first])
                read_pixels(group.file, group.number, stretch.first, spare[: len(positions)], fetched)
                images[positions] = spare[: len(positions)]
                rows[positions] = np.arange(stretch.first, stretch.last) + order.starts[stretch.group]
    images[rows < 0] = 0
    kind = pa.binary(spec.image_bytes)
    column = pa.FixedSizeBinaryArray.from_buffers(kind, count, [None, pa.py_buffer(images)])
    yield pa.table({"image": column, "row": rows, "block": np.full(count, block, np.int64)})


class Block(NamedTuple):
    """A block that has arrived: images uint8 (N, C * S * S) and their row numbers, int64 (N,)."""

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]


class StreamBatch(NamedTuple):
    """One worker's rows of a batch, copied out of the blocks. images: uint8 (B / W, C * S * S). rows: int64, their
    numbers among those that are streamed (see `groups_at`)."""

    step: int
    images: NDArray[np.uint8]
    rows: NDArray[np.int64]


class LaneBuffer:
    """Addresses of a lane's images that have arrived and are in no batch yet, in the stream's order."""

    def __init__(self, spec: StreamSpec, lane: int, position: int) -> None:
        """position: of the stream, where the first batch begins."""
        self.spec, self.lane = spec, lane
        self.entry = spec.order.entry(position, lane)
        self.waiting = np.empty(0, ADDRESS)

    def __len__(self) -> int:
        return len(self.waiting)

    def extend(self, block: int) -> None:
        """Add what a block holds of the lane, without what was streamed before the start."""
        round_, (begun, done) = block // self.spec.blocks_per_round, self.entry
        if round_ < begun:
            return
        nth = np.arange(done if round_ == begun else 0, self.spec.order.at(round_, self.lane).rows)
        added = np.empty(len(nth), ADDRESS)
        added["block"], added["row"] = block, self.spec.place(nth, self.lane - self.spec.lanes(block).start)
        self.waiting = np.concatenate([self.waiting, added])

    def take(self, batches: int) -> NDArray[np.void]:
        """The lane's addresses of the next batches: (batches, rows a lane)."""
        taken, self.waiting = np.split(self.waiting, [batches * self.spec.rows_per_lane])
        return taken.reshape(batches, -1)


def stream_batches(spec: StreamSpec, tables: Iterator[pa.Table], rank: int, first_step: int) -> Iterator[StreamBatch]:
    """This worker's batches from `first_step` on, until its blocks end.

    Rows of a batch are ordered by lane, then by position, so that the workers' rows laid side by side are the
    batch that one worker alone would get. Several batches are taken from the lanes at a time.
    """
    buffers = {lane: LaneBuffer(spec, lane, first_step * spec.batch) for lane in spec.lanes_of(rank)}
    blocks: dict[int, Block] = {}
    expected = spec.first_round(first_step * spec.batch) * spec.blocks_per_round + rank
    step = first_step
    for table in tables:
        number = int(table.column("block")[0].as_py())
        if number != expected:
            raise RuntimeError(f"Ray Data handed worker {rank} block {number} where block {expected} was due")
        expected += spec.workers
        (images,) = table.column("image").chunks  # `combine_chunks` would copy even a single one
        blocks[number] = Block(pixels(images), table.column("row").to_numpy())
        for lane in spec.lanes(number):
            buffers[lane].extend(number)
        ready = min(map(len, buffers.values())) // spec.rows_per_lane
        if not ready:
            continue
        for addresses in np.concatenate([buffer.take(ready) for buffer in buffers.values()], axis=1):
            yield StreamBatch(step, *gather(addresses, blocks))
            step += 1
        needed = {int(n) for buffer in buffers.values() for n in np.unique(buffer.waiting["block"])}
        blocks = {n: block for n, block in blocks.items() if n in needed}


def gather(addresses: NDArray[np.void], blocks: dict[int, Block]) -> Block:
    """Pixels and row numbers at the addresses, in their order. Neighbours in a block are copied at once; copied they
    must be, for a view would keep its whole block in Ray's store, where nothing can be written to."""
    numbers, rows = addresses["block"], addresses["row"]
    breaks = np.flatnonzero((numbers[1:] != numbers[:-1]) | (rows[1:] != rows[:-1] + 1))
    firsts, lasts = [0, *(breaks + 1).tolist()], [*breaks.tolist(), len(addresses) - 1]
    pieces = [
        (blocks[numbers[first]], slice(rows[first], rows[last] + 1)) for first, last in zip(firsts, lasts, strict=True)
    ]
    return Block(
        np.concatenate([block.images[piece] for block, piece in pieces]),
        np.concatenate([block.rows[piece] for block, piece in pieces]),
    )
