"""General images for a learner: an endless, reproducible stream that goes on exactly where a run was interrupted."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from orchestrator.data.auxiliary.batches import Batch, batches
from orchestrator.data.auxiliary.order import POOL_BYTES
from orchestrator.data.auxiliary.reading import manifest_at
from orchestrator.data.auxiliary.windows import Feed, split_feed
from workloads.errors import UserError
from workloads.training.distributed import Parallel

AHEAD = 4  # batches ready on the device
STALLED = 900.0  # seconds
PREFETCHED = 2  # blocks on their way to a worker


def feed_of(
    path: str, split: str, batch: int, workers: int, seed: int, pool_bytes: int = POOL_BYTES, most: int | None = None
) -> Feed:
    """The stream of a prepared set for `workers` workers that share batches of `batch` images.

    The order depends on the set (or the row groups drawn from it that hold `most` images), the seed, the batch and the
    pool. Raises UserError for a set that is not there or not finished, and for workers that cannot share the lanes
    as they share a batch: where each lane gives a batch one image, any number up to the batch can.
    """
    feed = Feed(path, split, batch, workers, seed, pool_bytes, most)
    order = feed.order
    fits = [w for w in range(1, order.lanes + 1) if order.lanes % w == 0 or order.lanes == batch]
    if workers not in fits:
        raise UserError(
            f"{workers} workers cannot share batches of {batch} general images",
            where="workers",
            nearest=str(min(fits, key=lambda w: abs(w - workers))),
            fix=f"use {', '.join(map(str, fits))} workers, or another batch_size",
        )
    return feed


class AuxiliaryStream:
    """This worker's rows of every batch of general images, ready on its device before they are asked for.

    The whole state is the step: a stream opened at step s, with any number of workers, yields exactly what an
    uninterrupted one would have yielded from s on. Needs a running Ray; all workers must open it together.
    """

    def __init__(self, feed: Feed, parallel: Parallel, device: torch.device, *, start: int, total: int) -> None:
        """start: the first step that is asked for. total: the step before which the stream ends."""
        self.feed, self.parallel, self.device = feed, parallel, device
        self.next, self.total = start, total
        layout = manifest_at(feed.path).layout
        self.shape = (layout.channels, layout.side, layout.side)
        self.rows = np.empty(0, np.int64)
        """Numbers, among those that are streamed, of the images last handed out."""
        self._ready: queue.Queue[Any] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        iterator = shared_iterators(feed, start * feed.batch, total * feed.batch, parallel)[parallel.rank]
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
                f"no general images for {STALLED:.0f} s: Ray Data's readers need a CPU that training leaves free"
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
            for item in self._on_device(batches(self.feed, iter(blocks), self.parallel.rank, start)):
                if not self._put(item):
                    return
            self._put(RuntimeError("the stream of general images ended before the schedule"))
        except BaseException as error:  # raised again where the images are asked for
            self._put(error)

    def _on_device(self, found: Iterator[Batch]) -> Iterator[tuple[Tensor, np.ndarray, Any]]:
        """uint8 all the way; on a GPU through pinned memory and a stream of its own, beside the training."""
        if self.device.type != "cuda":
            for batch in found:
                yield torch.from_numpy(batch.images).view(-1, *self.shape).to(self.device), batch.rows, None
            return
        side_stream = torch.cuda.Stream(self.device)
        for batch in found:
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


def shared_iterators(feed: Feed, start: int, end: int, parallel: Parallel) -> list[Any]:
    """The workers' iterators of one running dataset, which the first worker opens and tells the others."""
    if parallel.world == 1:
        return split_feed(feed, start, end)
    told = [split_feed(feed, start, end) if parallel.rank == 0 else None]
    dist.broadcast_object_list(told, src=0)
    found: list[Any] = told[0] or []
    return found
