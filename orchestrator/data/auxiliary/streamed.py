"""A prepared set beside a dataset: what a launch must know of it, and how a worker draws from it.

What a worker draws is an endless, reproducible stream that goes on exactly where a run was interrupted.
"""

import hashlib
import logging
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from orchestrator.data.auxiliary.manifest import Manifest, in_set
from orchestrator.data.auxiliary.reading import manifest_at, pixels, row_group
from orchestrator.data.auxiliary.sources.base import TEST, TRAIN
from orchestrator.data.auxiliary.windows import StreamBatch, StreamSpec, groups_at, stream_batches
from orchestrator.planning.request import absolute
from tune_spaces.schema import Auxiliary, Data
from workloads.data.catalogue import NOISE, SOURCES
from workloads.data.conform import as_channels
from workloads.data.images import AuxiliarySet
from workloads.errors import UserError
from workloads.training.distributed import Parallel

log = logging.getLogger(__name__)

SAMPLE = 8192
"""Training images that a worker holds: for actnorms to start from, and shapes."""
HELD_OUT = 4096
"""Held-out images that a worker holds: for curves, and for the scores that select a winner."""
AHEAD = 4  # batches ready on the device
STALLED = 900.0  # seconds
PREFETCHED = 2  # blocks on their way to a worker
SEGMENT = 1024
"""Blocks (see `windows.BLOCK_BYTES`) of one Ray dataset; a stream is one after the other, without an end."""


def auxiliary_set(source: Auxiliary, data: Data, data_dir: Path) -> AuxiliarySet:
    """The set that a space names, checked. Raises UserError where it is not there or finished, its images have
    another size than the dataset's, or none are held out; warns where the dataset's own images may be in it."""
    path = absolute(source.path or str(data_dir / SOURCES[source.name].place))
    manifest = Manifest.read(path)
    if manifest.layout.side != data.side:
        raise UserError(
            f"the auxiliary set has {manifest.layout.side}x{manifest.layout.side} pixels, the data {data.side}",
            where=path,
            fix=f"prepare it with --side {data.side}",
        )
    manifest.of_split(TEST)
    without = manifest.plan["without"]
    tested = {in_set(data.name, data.path), *data.out} - {NOISE} - set(without["sets"] if without else ())
    if tested:
        message = "%s was prepared without --without %s: it may hold images that are tested"
        log.warning(message, path, " --without ".join(sorted(tested)))
    content = repr([(shard.name, shard.sha256) for shard in manifest.shards])
    images = sum(shard.rows for shard in manifest.of_split(TRAIN))
    if source.max_images is not None:
        images = min(images, max(1, round(source.max_images * (1 - source.val_fraction))))
    return AuxiliarySet(
        path, images, hashlib.sha256(f"{content} {images}".encode()).hexdigest()[:16], tuple(sorted(tested))
    )


class AuxiliaryStream:
    """This worker's rows of every batch of auxiliary images, ready on its device before they are asked for.

    The whole state is the step: a stream opened at step s, with any number of workers, yields exactly what an
    uninterrupted one would have yielded from s on. Needs a running Ray; all workers must open it together.
    """

    def __init__(self, spec: StreamSpec, parallel: Parallel, device: torch.device, *, start: int, total: int) -> None:
        """start: the first step that is asked for. total: the step before which the stream ends."""
        self.spec, self.parallel, self.device = spec, parallel, device
        self.next, self.total = start, total
        layout = manifest_at(spec.path).layout
        self.shape = (layout.channels, layout.side, layout.side)
        self.rows = np.empty(0, np.int64)
        """Numbers, among those that are streamed, of the images last handed out."""
        self._ready: queue.Queue[Any] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        iterator = shared_iterators(spec, start * spec.batch, total * spec.batch, parallel)[parallel.rank]
        self._filler = threading.Thread(target=self._fill, args=(iterator, start), daemon=True)
        self._filler.start()

    def images(self, step: int) -> Tensor:
        """uint8 (batch / workers, C, S, S) on the device. Steps must be asked for one after the other.

        Raises ValueError for another step than the next one; TimeoutError where no images come; whatever reading the
        set raised.
        """
        if step != self.next or step >= self.total:
            raise ValueError(f"step {step} of {self.total} asked for where {self.next} was due")
        try:
            item = self._ready.get(timeout=STALLED)
        except queue.Empty:
            raise TimeoutError(
                f"no auxiliary images for {STALLED:.0f} s: Ray Data's readers need a CPU that training leaves free"
            ) from None
        if isinstance(item, BaseException):
            raise item
        images, self.rows, copied = item
        if copied is not None:
            torch.cuda.current_stream(self.device).wait_event(copied)
            images.record_stream(torch.cuda.current_stream(self.device))
        self.next += 1
        return images

    def close(self) -> None:
        """Stop reading ahead."""
        self._closed.set()
        while not self._ready.empty():
            self._ready.get_nowait()
        self._filler.join(timeout=10)

    def _fill(self, iterator: Any, start: int) -> None:
        try:
            blocks = iterator.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=PREFETCHED)
            for item in self._on_device(stream_batches(self.spec, iter(blocks), self.parallel.rank, start)):
                if not self._put(item):
                    return
            self._put(RuntimeError("the stream of auxiliary images ended before the schedule"))
        except BaseException as error:  # raised again where the images are asked for
            self._put(error)

    def _on_device(self, batches: Iterator[StreamBatch]) -> Iterator[tuple[Tensor, np.ndarray, Any]]:
        """uint8 all the way; on a GPU through pinned memory and a stream of its own, beside the training."""
        if self.device.type != "cuda":
            for batch in batches:
                yield torch.from_numpy(batch.images).view(-1, *self.shape).to(self.device), batch.rows, None
            return
        side_stream = torch.cuda.Stream(self.device)
        for batch in batches:
            pinned = torch.from_numpy(batch.images).view(-1, *self.shape).pin_memory()
            with torch.cuda.stream(side_stream):
                images = pinned.to(self.device, non_blocking=True)
                copied = torch.cuda.Event()
                copied.record(side_stream)
            yield images, batch.rows, copied

    def _put(self, item: Any) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False


def shared_iterators(spec: StreamSpec, start: int, end: int, parallel: Parallel) -> list[Any]:
    """The workers' iterators of one running dataset, which the first worker opens and sends to the others."""
    from orchestrator.data.auxiliary.datasource import worker_iterators  # Ray, which only an open stream needs

    if parallel.world == 1:
        return worker_iterators(spec, start, end)
    shared: list[Any] = [worker_iterators(spec, start, end) if parallel.rank == 0 else None]
    dist.broadcast_object_list(shared, src=0)
    return list(shared[0])


class StreamedSet:
    """A prepared set as a worker sees it (see `workloads.data.view.ImageStream`). One stream is open at a time.

    images: of an epoch; where the set has more, row groups drawn from all over it. channels: 1 or 3, as the dataset's.
    """

    def __init__(self, path: str, images: int, channels: int, device: torch.device) -> None:
        self.path, self.images, self.channels, self.device = path, images, channels, device
        self.open: AuxiliaryStream | None = None
        self.opened: tuple[int, int, Parallel] | None = None

    def __len__(self) -> int:
        return self.images

    def batch(self, seed: int, size: int, step: int, parallel: Parallel) -> Tensor:
        """As `ImageStream.batch` says."""
        stream, opened = self.open, (seed, size, parallel)
        if stream is None or self.opened != opened or step != stream.next or step == stream.total:
            if stream is not None:
                stream.close()
            spec = StreamSpec(self.path, TRAIN, size, parallel.world, seed, max_images=self.images)
            steps = max(1, SEGMENT * spec.lanes_per_block * spec.order.window // size)
            stream = AuxiliaryStream(spec, parallel, self.device, start=step, total=step + steps)
            self.open, self.opened = stream, opened
        return as_channels(stream.images(step), self.channels)

    def sample(self) -> tuple[Tensor, Tensor, list[str]]:
        """Training images and held-out ones, uint8 (N, C, S, S) on the device, and the ids of the latter."""
        train, _ = some_rows(self.path, TRAIN, SAMPLE, self.images)
        held_out, ids = some_rows(self.path, TEST, HELD_OUT)
        return self._on_device(train), self._on_device(held_out), ids

    def _on_device(self, images: np.ndarray) -> Tensor:
        return as_channels(torch.from_numpy(images), self.channels).to(self.device)


def some_rows(path: str, split: str, count: int, max_images: int | None = None) -> tuple[np.ndarray, list[str]]:
    """Up to `count` images, uint8 (N, C, S, S), of row groups that lie evenly over a split (or over what `groups_at`
    draws from it), and their ids."""
    layout, groups = manifest_at(path).layout, groups_at(path, split, max_images)
    wanted = min(len(groups), -(-count // layout.group_rows))
    indices = np.linspace(0, len(groups) - 1, wanted).round().astype(int)
    batches = [row_group(groups[place].file, groups[place].number, ("id", "image")) for place in indices]
    images = np.concatenate([pixels(batch.column("image")) for batch in batches])[:count]
    ids = [name for batch in batches for name in batch.column("id").to_pylist()]
    return images.reshape(-1, layout.channels, layout.side, layout.side), ids[:count]
