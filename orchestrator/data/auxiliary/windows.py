"""The windows of a stream as Ray Data reads them: a block of whole lanes a read task, each block for one worker."""

import itertools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from orchestrator.data.auxiliary.order import POOL_BYTES, Order, Rows, order_of, permutation
from orchestrator.data.auxiliary.reading import REQUESTS, announce, manifest_at, read_pixels

BLOCK_BYTES = 64 << 20
"""Of pixels, at most, in a block (or one window, where that is larger). Ray takes tens of milliseconds for a task
whatever its size."""
ROUNDS_AHEAD = 8
"""Of blocks that Ray may hold ready beyond those in use: what memory the stream takes does not depend on the set. Ray
Data keeps half of it in reserve; with two rounds it lets one reader run at a time, a third as fast."""


@dataclass(frozen=True)
class Feed:
    """A stream of a prepared set for some workers. Small: it travels with every read task."""

    path: str
    split: str
    batch: int  # images over all workers
    workers: int
    seed: int
    pool_bytes: int = POOL_BYTES
    most: int | None = None  # images: row groups that hold so many; None is all

    @property
    def order(self) -> Order:
        return order_at(self.path, self.split, self.batch, self.seed, self.pool_bytes, self.most)

    @property
    def image_bytes(self) -> int:
        return manifest_at(self.path).layout.image_bytes

    @property
    def each(self) -> int:
        """Images that a lane gives every batch."""
        return self.batch // self.order.lanes

    @property
    def most_lanes(self) -> int:
        """Of one worker: shares differ by one where the lanes have no equal ones."""
        return math.ceil(self.order.lanes / self.workers)

    @property
    def lanes_a_block(self) -> int:
        fits = max(1, BLOCK_BYTES // (self.order.window * self.image_bytes))
        return max(d for d in range(1, min(self.most_lanes, fits) + 1) if self.most_lanes % d == 0)

    @property
    def blocks_a_round(self) -> int:
        return self.most_lanes // self.lanes_a_block * self.workers

    def lanes_of(self, worker: int) -> range:
        """A worker's lanes, as `workloads.training.distributed.Parallel.rows` has them.

        Without its torch, which would fill every reader.
        """
        lanes = self.order.lanes
        return range(lanes * worker // self.workers, lanes * (worker + 1) // self.workers)

    def lanes(self, block: int) -> range:
        """The lanes of a block, counted over the stream: a worker's last may hold fewer. Blocks go to the workers in
        turn."""
        turn, worker = divmod(block % self.blocks_a_round, self.workers)
        return self.lanes_of(worker)[turn * self.lanes_a_block : (turn + 1) * self.lanes_a_block]

    def block_rows(self, round_: int) -> int:
        """Of every block of a round: its lanes' images, and fillers."""
        return math.ceil(self.order.padded(round_) / self.each) * self.each * self.lanes_a_block

    def place(self, nth: Rows, lane: int) -> Rows:
        """Where in its block the nth image of a lane lies, lane: counted in the block. A batch has a lane's images side
        by side, and so has the block: what a worker needs for a batch is one piece of it."""
        turn, within = np.divmod(nth, self.each)
        return (turn * self.lanes_a_block + lane) * self.each + within

    def first_round(self, position: int) -> int:
        """The earliest round that any lane still needs when the stream stands at `position`."""
        return min(self.order.entry(position, lane)[0] for lane in range(self.order.lanes))

    def blocks(self, start: int, end: int) -> range:
        """Blocks that hold the stream's positions from `start` up to `end`, both multiples of the lanes."""
        lanes = range(self.order.lanes)
        last = max(self.order.entry(end - self.order.lanes, lane)[0] for lane in lanes)
        return range(self.first_round(start) * self.blocks_a_round, (last + 1) * self.blocks_a_round)


@lru_cache(maxsize=8)
def groups_at(path: str, split: str, most: int | None = None) -> list[tuple[str, int, int]]:
    """(file, number in it, rows) of every row group of a split, in the manifest's order. most: of so few, drawn from
    all over the set, that hold at least so many images; a set may be sorted by what its images show."""
    manifest = manifest_at(path)
    shards = manifest.of_split(split)
    groups = [(str(manifest.file(shard)), group, rows) for shard in shards for group, rows in enumerate(shard.groups)]
    if most is None:
        return groups
    drawn = permutation(len(groups), "subset", len(groups))
    needed = int(np.searchsorted(np.cumsum([groups[place][2] for place in drawn]), most)) + 1
    return [groups[place] for place in np.sort(drawn[:needed])]


@lru_cache(maxsize=8)
def order_at(path: str, split: str, batch: int, seed: int, pool_bytes: int, most: int | None) -> Order:
    """A feed's order, made once in a process: it does not depend on the workers."""
    groups = [rows for _, _, rows in groups_at(path, split, most)]
    return order_of(groups, manifest_at(path).layout.image_bytes, seed, batch, pool_bytes)


def read_block(feed: Feed, block: int) -> Iterator[pa.Table]:
    """One table: image (fixed-size binary), row (int64, the image's number among those of `groups_at` in their order,
    -1 where there is none), block (int64). In the order of the stream, as far as a block's lanes go (see `Feed.place`).
    Blocks of a round are equally long: what a lane lacks is filled."""
    order, groups = feed.order, groups_at(feed.path, feed.split, feed.most)
    round_, lanes = block // feed.blocks_a_round, feed.lanes(block)
    count = feed.block_rows(round_)
    images = np.empty((count, feed.image_bytes), np.uint8)
    spare = np.empty((order.window, feed.image_bytes), np.uint8)  # one for all stretches: it stays in the CPU's cache
    rows = np.full(count, -1, np.int64)
    windows = [order.at(round_, lane) for lane in lanes]
    stretches = [order.stretches(window) for window in windows]
    with ThreadPoolExecutor(REQUESTS) as pool:
        wanted = [(*groups[s.group][:2], s.first, s.last) for s in itertools.chain.from_iterable(stretches)]
        fetched = announce(pool, wanted, feed.image_bytes)
        for number, window in enumerate(windows):
            streamed = np.empty(window.rows, np.int64)  # row of the window -> place in the block
            streamed[order.within(window)] = feed.place(np.arange(window.rows), number)
            for stretch in stretches[number]:
                file, group, _ = groups[stretch.group]
                places, streamed = np.split(streamed, [stretch.last - stretch.first])
                read_pixels(file, group, stretch.first, spare[: len(places)], fetched)
                images[places] = spare[: len(places)]
                rows[places] = np.arange(stretch.first, stretch.last) + order.starts[stretch.group]
    images[rows < 0] = 0
    kind = pa.binary(feed.image_bytes)
    column = pa.FixedSizeBinaryArray.from_buffers(kind, count, [None, pa.py_buffer(images)])
    yield pa.table({"image": column, "row": rows, "block": np.full(count, block, np.int64)})


class WindowsDatasource(Datasource):
    """Blocks of a feed, one a read task, in the order in which the workers need them."""

    def __init__(self, feed: Feed, blocks: range) -> None:
        super().__init__()
        self.feed, self.blocks = feed, blocks

    def get_name(self) -> str:
        return "AuxiliaryStream"

    def estimate_inmemory_data_size(self) -> int:
        return len(self.blocks) * self.feed.lanes_a_block * self.feed.order.window * self.feed.image_bytes

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002
        per_task_row_limit: int | None = None,
        data_context: Any = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        rows = self.feed.lanes_a_block * self.feed.order.window
        facts = BlockMetadata(rows, rows * self.feed.image_bytes, input_files=None, exec_stats=None)
        return [
            ReadTask(partial(read_block, self.feed, block), facts, per_task_row_limit=per_task_row_limit)
            for block in self.blocks
        ]


def split_feed(feed: Feed, start: int, end: int) -> list[Any]:
    """A Ray Data iterator for each worker over the stream's positions from `start` up to `end`.

    Ray's splitter gives a block to the worker with the fewest rows, the first of equals: blocks of a round are equally
    long and a round has as many for each worker, so with order preserved that is in turn. Whoever reads checks it.
    """
    blocks = feed.blocks(start, end)
    dataset = ray.data.read_datasource(WindowsDatasource(feed, blocks), override_num_blocks=len(blocks))
    context = dataset.context
    context.target_max_block_size = None  # a block stays as it is read
    context.execution_options.preserve_order = True
    held = ROUNDS_AHEAD * feed.order.lanes * feed.order.window * feed.image_bytes
    limits = context.execution_options.resource_limits
    context.execution_options.resource_limits = limits.copy(object_store_memory=math.ceil(held))
    return list(dataset.streaming_split(feed.workers, equal=False))
