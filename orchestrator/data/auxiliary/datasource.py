"""What Ray Data reads: sources, a piece a task, so that any number of machines share them; and blocks of a stream."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from orchestrator.data.auxiliary.manifest import ShardLayout
from orchestrator.data.auxiliary.shards import as_table
from orchestrator.data.auxiliary.sources.base import Bad, Piece, Rows, SourceFormat
from orchestrator.data.auxiliary.windows import StreamSpec, read_block
from workloads.errors import UserError

ROUNDS_AHEAD = 8
"""Of blocks that Ray may hold ready beyond those in use: what memory the stream takes does not depend on the set. Ray
Data keeps half of it in reserve; with two rounds it lets one reader run at a time, a third as fast."""

Then = Callable[[Piece, Iterator[Rows | Bad]], Iterable[pa.Table]]
"""What a read task makes of its piece: the images themselves, or, in `prepare`, a shard and its record."""


class TaskSource(Datasource):
    """Read tasks in their order, each a function that gives tables; a table is a block.

    rows, bytes: of a task's block, where they are known beforehand.
    """

    def __init__(
        self, tasks: Sequence[Callable[[], Iterable[pa.Table]]], rows: int | None = None, size: int | None = None
    ) -> None:
        super().__init__()
        self.tasks, self.facts = tasks, BlockMetadata(rows, size, input_files=None, exec_stats=None)

    def get_name(self) -> str:
        return "AuxiliaryImages"

    def estimate_inmemory_data_size(self) -> int | None:
        return self.facts.size_bytes and len(self.tasks) * self.facts.size_bytes

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002
        per_task_row_limit: int | None = None,
        data_context: Any = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        return [ReadTask(task, self.facts, per_task_row_limit=per_task_row_limit) for task in self.tasks]


def results_of(tasks: Sequence[Callable[[], Iterable[pa.Table]]], *, gpus: float = 0) -> Iterator[dict[str, Any]]:
    """The rows that tasks give, in the order in which they end, by Ray's workers: a core and `gpus` GPUs a task. Needs
    a running Ray. Raises what a task raised."""
    wanted = {"num_gpus": gpus} if gpus else {}
    dataset = ray.data.read_datasource(TaskSource(tasks), override_num_blocks=len(tasks), ray_remote_args=wanted)
    try:
        yield from dataset.iter_rows()
    except Exception as error:
        raise innermost(error) from error


def innermost(error: BaseException) -> BaseException:
    """What the user can mend, out of the layers that Ray lays about an error in a task."""
    layer: BaseException | None = error
    while layer is not None:
        if isinstance(layer, UserError):
            return UserError(*layer.args)
        layer = getattr(layer, "cause", None) or layer.__cause__
    return error


def read_pieces(
    source: SourceFormat, pieces: Sequence[Piece], layout: ShardLayout, then: Then | None = None
) -> ray.data.Dataset:
    """What `then` makes of the pieces of a source; without it the images: id, offset, image, the bad ones left out.

    A task holds one row group of pixels at a time.
    """
    shared = ray.put(source)  # once, not with every task
    tasks = [partial(read_piece, shared, piece, layout, then) for piece in pieces]
    return ray.data.read_datasource(TaskSource(tasks), override_num_blocks=len(pieces))


def read_piece(source: Any, piece: Piece, layout: ShardLayout, then: Then | None) -> Iterable[pa.Table]:
    opened: SourceFormat = ray.get(source)
    stream = opened.read(piece, layout.group_rows)
    return then(piece, stream) if then else (as_table(rows, layout) for rows in stream if isinstance(rows, Rows))


def worker_iterators(spec: StreamSpec, start: int, end: int) -> list[Any]:
    """A Ray Data iterator for each worker over the stream's positions from `start` up to `end`.

    Ray's splitter gives a block to the worker with the fewest rows, the first of equals: blocks of a round are equally
    long and a round has as many for each worker, so with order preserved that is in turn. Whoever reads checks it.
    """
    tasks = [partial(read_block, spec, block) for block in spec.blocks(start, end)]
    rows = spec.lanes_per_block * spec.order.window
    dataset = ray.data.read_datasource(TaskSource(tasks, rows, rows * spec.image_bytes), override_num_blocks=len(tasks))
    context = dataset.context
    context.target_max_block_size = None  # a block stays as it is read
    context.execution_options.preserve_order = True
    ahead = ROUNDS_AHEAD * spec.order.lanes * spec.order.window * spec.image_bytes
    limits = context.execution_options.resource_limits
    context.execution_options.resource_limits = limits.copy(object_store_memory=math.ceil(ahead))
    return list(dataset.streaming_split(spec.workers, equal=False))
