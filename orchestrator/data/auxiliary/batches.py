"""A worker's blocks -> its rows of every batch, in the stream's order. No Ray, no threads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestrator.data.auxiliary.reading import pixels
from orchestrator.data.auxiliary.windows import Feed

NONE = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class Batch:
    """One worker's rows of one batch, copied out of the blocks. images: uint8 (B / W, C * S * S). rows: int64, their
    numbers among those that are streamed (see `windows.groups_at`)."""

    step: int
    images: NDArray[np.uint8]
    rows: NDArray[np.int64]


def batches(feed: Feed, blocks: Iterator[pa.Table], rank: int, start: int) -> Iterator[Batch]:
    """Batches from step `start` on, until the blocks end.

    Rows of a batch are ordered by lane, then by position, so that the workers' rows laid side by side are the
    batch that one worker alone would get.
    """
    order = feed.order
    own = feed.lanes_of(rank)
    entries = {lane: order.entry(start * feed.batch, lane) for lane in own}
    waiting = dict.fromkeys(own, NONE)  # lane -> (number of the block, row in it) of what it streams next
    held: dict[int, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}
    expected = feed.first_round(start * feed.batch) * feed.blocks_a_round + rank
    step = start
    for table in blocks:
        number = int(table.column("block")[0].as_py())
        if number != expected:
            raise RuntimeError(f"Ray Data handed worker {rank} block {number} where block {expected} was due")
        expected += feed.workers
        (images,) = table.column("image").chunks  # `combine_chunks` would copy even a single one
        held[number] = pixels(images), table.column("row").to_numpy()
        for lane, ahead in upcoming(feed, number, entries).items():
            waiting[lane] = np.concatenate([waiting[lane], ahead])
        ready = min(len(rows) for rows in waiting.values()) // feed.each
        if not ready:
            continue
        chosen = np.stack([waiting[lane][: ready * feed.each].reshape(ready, feed.each, 2) for lane in own], axis=1)
        for addresses in chosen.reshape(ready, -1, 2):
            images, rows = gather(addresses, held)
            yield Batch(step, images, rows)
            step += 1
        waiting = {lane: rows[ready * feed.each :] for lane, rows in waiting.items()}
        needed = {int(n) for rows in waiting.values() for n in np.unique(rows[:, 0])}
        held = {n: block for n, block in held.items() if n in needed}


def upcoming(feed: Feed, number: int, entries: dict[int, tuple[int, int]]) -> dict[int, NDArray[np.int64]]:
    """What a block adds to its lanes: (block, row in it), without what was streamed before the start."""
    round_, lanes = number // feed.blocks_a_round, feed.lanes(number)
    found = {}
    for place, lane in enumerate(lanes):
        begun, done = entries[lane]
        if round_ < begun:
            continue
        nth = np.arange(done if round_ == begun else 0, feed.order.at(round_, lane).rows)
        found[lane] = np.stack([np.full_like(nth, number), feed.place(nth, place)], axis=1)
    return found


def gather(
    addresses: NDArray[np.int64], held: dict[int, tuple[NDArray[np.uint8], NDArray[np.int64]]]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels and row numbers at (block, row), in that order. Neighbours in a block are copied at once; copied they must
    be, for a view would keep its whole block in Ray's store, where nothing can be written to."""
    steps = np.diff(addresses, axis=0)
    pieces = np.split(addresses, np.flatnonzero((steps[:, 0] != 0) | (steps[:, 1] != 1)) + 1)
    places = [(held[int(piece[0, 0])], slice(int(piece[0, 1]), int(piece[-1, 1]) + 1)) for piece in pieces]
    images = np.concatenate([block[place] for (block, _), place in places])
    return images, np.concatenate([rows[place] for (_, rows), place in places])
