"""The windows of a stream as Ray Data reads them: a block of whole lanes a read task, each block for one worker."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from orchestrator.general.order import POOL_BYTES, Order, order_of
from orchestrator.general.reading import manifest_at, pixels, row_group

BLOCK_BYTES = 24 << 20
"""Of pixels, at most, in a block (or one window, where that is larger). Ray takes tens of milliseconds for a task
whatever its size; memory of more than 32 MiB is given back and mapped again by the C library for every block."""
ROUNDS_AHEAD = 2
"""Of blocks that Ray may hold ready beyond those in use: what memory the stream takes does not depend on the set."""


@dataclass(frozen=True)
class Feed:
    """A stream of a prepared set for some workers. Small: it travels with every read task."""

    path: str
    split: str
    batch: int  # images over all workers
    workers: int
    seed: int
    pool_bytes: int = POOL_BYTES
    most: int | None = None  # images: the first row groups that hold so many; None is all

    @property
    def order(self) -> Order:
        return order_at(self.path, self.split, self.batch, self.seed, self.pool_bytes, self.most)

    @property
    def image_bytes(self) -> int:
        return manifest_at(self.path).layout.image_bytes

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
        """A worker's lanes: as `workloads.parallel.Parallel.rows`, without the torch that would fill every reader."""
        lanes = self.order.lanes
        return range(lanes * worker // self.workers, lanes * (worker + 1) // self.workers)

    def lanes(self, block: int) -> range:
        """The lanes of a block, counted over the stream: a worker's last may hold fewer. Blocks go to the workers in
        turn."""
        turn, worker = divmod(block % self.blocks_a_round, self.workers)
        return self.lanes_of(worker)[turn * self.lanes_a_block : (turn + 1) * self.lanes_a_block]

    def first_round(self, position: int) -> int:
        """The earliest round that any lane still needs when the stream stands at `position`."""
        return min(self.order.entry(position, lane)[0] for lane in range(self.order.lanes))

    def blocks(self, start: int, end: int) -> range:
        """Blocks that hold the stream's positions from `start` up to `end`, both multiples of the lanes."""
        lanes = range(self.order.lanes)
        last = max(self.order.entry(end - self.order.lanes, lane)[0] for lane in lanes)
        return range(self.first_round(start) * self.blocks_a_round, (last + 1) * self.blocks_a_round)


@lru_cache(maxsize=8)
def groups_at(path: str, split: str) -> list[tuple[str, int, int]]:
    """(file, number in it, rows) of every row group of a split, in the manifest's order."""
    manifest = manifest_at(path)
    shards = manifest.of_split(split)
    return [(str(manifest.file(shard)), group, rows) for shard in shards for group, rows in enumerate(shard.groups)]


@lru_cache(maxsize=8)
def order_at(path: str, split: str, batch: int, seed: int, pool_bytes: int, most: int | None) -> Order:
    """A feed's order, made once in a process: it does not depend on the workers."""
    groups = [rows for _, _, rows in groups_at(path, split)]
    if most is not None:
        groups = groups[: int(np.searchsorted(np.cumsum(groups), most)) + 1]
    return order_of(groups, manifest_at(path).layout.image_bytes, seed, batch, pool_bytes)


def read_block(feed: Feed, block: int) -> Iterator[pa.Table]:
    """One table: image (fixed-size binary), row (int64, the image's number in the manifest's order of the split, -1
    where there is none), block (int64). Blocks of a round are equally long: what a lane lacks is filled."""
    manifest, order, groups = manifest_at(feed.path), feed.order, groups_at(feed.path, feed.split)
    round_, lanes = block // feed.blocks_a_round, feed.lanes(block)
    each = order.padded(round_)
    images = np.empty((each * feed.lanes_a_block, manifest.layout.image_bytes), np.uint8)
    rows = np.full(len(images), -1, np.int64)
    for number, lane in enumerate(lanes):
        at = number * each
        for stretch in order.stretches(order.at(round_, lane)):
            file, group, _ = groups[stretch.group]
            count = stretch.last - stretch.first
            read = pixels(row_group(file, group).column("image"))
            images[at : at + count] = read[stretch.first : stretch.last]
            rows[at : at + count] = order.starts[stretch.group] + np.arange(stretch.first, stretch.last)
            at += count
        images[at : (number + 1) * each] = 0
    images[len(lanes) * each :] = 0
    kind = pa.binary(manifest.layout.image_bytes)
    column = pa.FixedSizeBinaryArray.from_buffers(kind, len(images), [None, pa.py_buffer(images)])
    yield pa.table({"image": column, "row": rows, "block": np.full(len(rows), block, np.int64)})


class WindowsDatasource(Datasource):
    """Blocks of a feed, one a read task, in the order in which the workers need them."""

    def __init__(self, feed: Feed, blocks: range) -> None:
        super().__init__()
        self.feed, self.blocks = feed, blocks

    def get_name(self) -> str:
        return "GeneralStream"

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
