"""Sources as Ray Data reads them: every part a read task, so any number of machines share them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from orchestrator.data.auxiliary.manifest import Layout
from orchestrator.data.auxiliary.shards import as_table
from orchestrator.data.auxiliary.sources.base import Bad, Part, Rows, Source

Then = Callable[[Part, Iterator[Rows | Bad]], Iterable[pa.Table]]
"""What a read task makes of its part: the images themselves, or, in `prepare`, a shard and its record."""


class PartsDatasource(Datasource):
    """Parts of a source. One block a table, so a task holds one row group of pixels at a time."""

    def __init__(self, source: Source, parts: Sequence[Part], layout: Layout, then: Then | None = None) -> None:
        super().__init__()
        self.parts, self.layout = parts, layout
        self.source = ray.put(source)  # once, not with every task
        self.then = then or partial(images, layout)

    def get_name(self) -> str:
        return "AuxiliaryImages"

    def estimate_inmemory_data_size(self) -> int | None:
        return sum(part.images for part in self.parts) * self.layout.image_bytes

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002
        per_task_row_limit: int | None = None,
        data_context: Any = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        return [
            ReadTask(
                partial(read_part, self.source, part, self.layout.group_rows, self.then),
                BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None),
                per_task_row_limit=per_task_row_limit,
            )
            for part in self.parts
        ]


def read_part(source: Any, part: Part, rows: int, then: Then) -> Iterable[pa.Table]:
    opened: Source = ray.get(source)
    return then(part, opened.read(part, rows))


def images(layout: Layout, part: Part, stream: Iterator[Rows | Bad]) -> Iterator[pa.Table]:  # noqa: ARG001
    """id, offset, image; bad images are left out."""
    return (as_table(rows, layout) for rows in stream if isinstance(rows, Rows))
