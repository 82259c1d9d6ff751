"""The order in which a set is streamed, as a pure function: (seed, position in the stream) -> image.

A stream is endless: epoch after epoch, each image once an epoch, every epoch in a fresh order. The order is made for
reading large pieces, for memory that does not grow with the set, and for any number of workers:

* The row groups of all shards are permuted; laid one after the other they are the epoch's rows.
* The rows are cut into windows of equal size and every window is permuted within.
* Windows are dealt to L lanes, which run side by side: the image at position s of the stream is the next one of lane
  s mod L. So images that stand close in the stream come from L windows that lie anywhere in the set, and a pool of L
  windows is all that must be in memory, on all workers together.
* Each worker has some consecutive lanes, and reads their windows only. The order itself knows nothing of workers: a
  position is all the state there is.

Where an epoch's size is no multiple of L the next one begins on another lane, and nothing is dropped or repeated. The
windows of an epoch's last round are shorter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workloads.errors import UserError
from workloads.training.seeds import derive_seed

Indices = NDArray[np.int64]
MAX_LANES = 64
POOL_BYTES = 96 << 20
"""Pixels of all windows that are open at once; larger mixes further and takes more memory."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows of one row group: rows [first, last) of the group numbered over all shards."""

    group: int
    first: int
    last: int


@dataclass(frozen=True)
class Window:
    """What one lane streams in one round of an epoch: rows [start, start + rows) of the epoch's permuted groups."""

    epoch: int
    virtual: int  # the lane, counted from the one that the epoch begins on
    number: int  # of the round in its epoch
    start: int
    rows: int


@dataclass(frozen=True)
class Order:
    """The order of one set. groups: rows of its row groups, in the manifest's order. window: rows, lanes: L."""

    groups: tuple[int, ...]
    seed: int
    lanes: int
    window: int

    @cached_property
    def images(self) -> int:
        return sum(self.groups)

    @cached_property
    def starts(self) -> Indices:
        """The number of the first image of each row group, and the number of images: int64 (groups + 1,)."""
        return np.concatenate([[0], np.cumsum(np.asarray(self.groups, np.int64))])

    @cached_property
    def _epochs(self) -> dict[int, tuple[Indices, Indices]]:
        return {}

    def epoch(self, number: int) -> tuple[Indices, Indices]:
        """(row groups in the epoch's order, where in the epoch's rows each begins, and the end). Two are kept."""
        if number not in self._epochs:
            order = permutation(len(self.groups), self.seed, "groups", number)
            rows = np.asarray(self.groups, np.int64)[order]
            while len(self._epochs) > 1:
                del self._epochs[min(self._epochs)]
            self._epochs[number] = order, np.concatenate([[0], np.cumsum(rows)])
        return self._epochs[number]

    @property
    def full_rounds(self) -> int:
        """Rounds of an epoch in which every lane has a whole window."""
        return self.images // self.lanes // self.window

    @property
    def rounds(self) -> int:
        """Rounds of an epoch, with the shorter last one where there is one."""
        return self.full_rounds + (self.images > self.full_rounds * self.lanes * self.window)

    def padded(self, round_: int) -> int:
        """Rows of the longest window of a round of the stream (counted over the epochs)."""
        if round_ % self.rounds < self.full_rounds:
            return self.window
        return math.ceil((self.images - self.full_rounds * self.lanes * self.window) / self.lanes)

    def at(self, round_: int, lane: int) -> Window:
        """The window of a lane in a round of the stream."""
        epoch, number = divmod(round_, self.rounds)
        virtual = (lane - epoch * self.images) % self.lanes
        base = number * self.lanes * self.window
        if number < self.full_rounds:
            return Window(epoch, virtual, number, base + virtual * self.window, self.window)
        rows, more = divmod(self.images - base, self.lanes)
        start = base + virtual * rows + min(virtual, more)
        return Window(epoch, virtual, number, start, rows + (virtual < more))

    def entry(self, position: int, lane: int) -> tuple[int, int]:
        """(round, rows of its window already streamed) where a lane stands when the stream stands at `position`."""
        first = position + (lane - position) % self.lanes  # of the lane, from there on
        epoch, within = divmod(first, self.images)
        number, done = divmod(within // self.lanes, self.window)
        return epoch * self.rounds + number, done

    def within(self, window: Window) -> Indices:
        """The order of a window's rows, int64 (rows,): indices from 0."""
        return permutation(window.rows, self.seed, "window", window.epoch, window.number, window.virtual)

    def stretches(self, window: Window) -> list[Stretch]:
        """Where a window's rows lie, before they are permuted: at most its rows, in reading order."""
        order, bounds = self.epoch(window.epoch)
        stretches = []
        at, end = window.start, window.start + window.rows
        place = int(np.searchsorted(bounds, at, "right")) - 1
        while at < end:
            last = min(end, int(bounds[place + 1]))
            stretches.append(Stretch(int(order[place]), at - int(bounds[place]), last - int(bounds[place])))
            at, place = last, place + 1
        return stretches


def order_of(groups: Sequence[int], image_bytes: int, seed: int, batch: int, pool_bytes: int = POOL_BYTES) -> Order:
    """The order for batches of `batch` images over all workers.

    L is the largest divisor of `batch` up to 64: every lane then gives each batch the same number of images, and a
    worker's rows of a batch are consecutive ones. Raises UserError for a batch below 1.
    """
    if batch < 1:
        raise UserError(f"a batch of {batch} images", where="batch_size", fix="give 1 or more")
    lanes = max(d for d in range(1, min(batch, MAX_LANES) + 1) if batch % d == 0)
    largest = max(1, sum(groups) // lanes)
    return Order(tuple(groups), seed, lanes, min(largest, max(1, pool_bytes // image_bytes // lanes)))


def permutation(count: int, *parts: object) -> Indices:
    """A permutation that is a function of `parts`, for ever: NumPy's legacy generator, whose stream is frozen."""
    words = np.frombuffer(derive_seed(*parts).to_bytes(8, "little"), np.uint32)
    return np.random.RandomState(words).permutation(count).astype(np.int64)
