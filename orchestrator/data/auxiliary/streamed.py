"""A prepared general set beside a dataset: what a launch must know of it, and how a worker draws from it."""

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from orchestrator.data.auxiliary.manifest import Manifest, in_set
from orchestrator.data.auxiliary.reading import manifest_at, pixels, row_group
from orchestrator.data.auxiliary.sources.base import TEST, TRAIN
from orchestrator.record.paths import absolute
from tune_spaces.schema import Auxiliary, Data
from workloads.data.catalogue import NOISE, SOURCES
from workloads.data.conform import as_channels
from workloads.data.images import AuxiliarySet
from workloads.errors import UserError
from workloads.training.distributed import Parallel

if TYPE_CHECKING:
    from orchestrator.data.auxiliary.stream import AuxiliaryStream

log = logging.getLogger(__name__)

SAMPLE = 8192
"""Training images that a worker holds: for actnorms to start from, and shapes."""
HELD_OUT = 4096
"""Held-out images that a worker holds: for curves, and for the scores that select a winner."""
SEGMENT = 1024
"""Blocks (see `windows.BLOCK_BYTES`) of one Ray dataset; a stream is one after the other, without an end."""


def auxiliary_set(source: Auxiliary, data: Data, data_dir: Path) -> AuxiliarySet:
    """The set that a space names, checked. Raises UserError where it is not there or finished, its images have
    another size than the dataset's, or none are held out; warns where the dataset's own images may be in it."""
    path = absolute(source.path or str(data_dir / SOURCES[source.name].place))
    manifest = Manifest.read(path)
    if manifest.layout.side != data.side:
        raise UserError(
            f"the general set has {manifest.layout.side}x{manifest.layout.side} pixels, the data {data.side}",
            where=path,
            fix=f"prepare it with --side {data.side}",
        )
    manifest.of_split(TEST)
    without = manifest.plan["without"]
    tested = {in_set(data.name, data.path), *data.out} - {NOISE} - set(without["sets"] if without else ())
    if tested:
        said = "%s was prepared without --without %s: it may hold images that are tested"
        log.warning(said, path, " --without ".join(sorted(tested)))
    content = repr([(shard.name, shard.sha256) for shard in manifest.shards])
    images = sum(shard.rows for shard in manifest.of_split(TRAIN))
    if source.max_images is not None:
        images = min(images, max(1, round(source.max_images * (1 - source.val_fraction))))
    return AuxiliarySet(path, images, hashlib.sha256(f"{content} {images}".encode()).hexdigest()[:16])


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
        from orchestrator.data.auxiliary.stream import AuxiliaryStream, feed_of

        stream, opened = self.open, (seed, size, parallel)
        if stream is None or self.opened != opened or step != stream.next or step == stream.total:
            if stream is not None:
                stream.close()
            feed = feed_of(self.path, TRAIN, size, parallel.world, seed, most=self.images)
            steps = max(1, SEGMENT * feed.lanes_a_block * feed.order.window // size)
            stream = AuxiliaryStream(feed, parallel, self.device, start=step, total=step + steps)
            self.open, self.opened = stream, opened
        return as_channels(stream.images(step), self.channels)

    def sample(self) -> tuple[Tensor, Tensor, list[str]]:
        """Training images and held-out ones, uint8 (N, C, S, S) on the device, and the ids of the latter."""
        train, _ = some_rows(self.path, TRAIN, SAMPLE, self.images)
        held_out, ids = some_rows(self.path, TEST, HELD_OUT)
        images = (as_channels(torch.from_numpy(found), self.channels).to(self.device) for found in (train, held_out))
        return next(images), next(images), ids


def some_rows(path: str, split: str, count: int, most: int | None = None) -> tuple[np.ndarray, list[str]]:
    """Up to `count` images, uint8 (N, C, S, S), of row groups that lie evenly over a split (or over what `groups_at`
    draws from it), and their ids."""
    from orchestrator.data.auxiliary.windows import groups_at  # which needs Ray Data

    manifest, groups = manifest_at(path), groups_at(path, split, most)
    layout = manifest.layout
    wanted = min(len(groups), -(-count // layout.group_rows))
    found, ids = [], []
    for place in np.linspace(0, len(groups) - 1, wanted).round().astype(int):
        file, group, _ = groups[place]
        batch = row_group(file, group, ("id", "image"))
        found.append(pixels(batch.column("image")))
        ids += batch.column("id").to_pylist()
    images = np.concatenate(found)[:count]
    return images.reshape(-1, layout.channels, layout.side, layout.side), ids[:count]
