"""How images reach Ray's processes: by the object store where they fit, else as shards that Ray Data reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import ray

from orchestrator.data.shared import ShardedSplits, SharedSplits
from orchestrator.data.split_store import SplitManifest, SplitStore
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.stage import StageWork
from orchestrator.execution.work.trial import TrialWork
from orchestrator.execution.work.worker import UnitWork, Work, needs_auxiliary
from orchestrator.planning.capacity import Node
from workloads.data.images import AuxiliaryImages, LabelledImages
from workloads.data.splits import Splits

FITTING = 0.25
"""Of a node's object store: images below it are put there, and leave room for what else Ray keeps."""


@dataclass(frozen=True)
class SharedImages:
    """Where every process of a launch has its images from; small enough to go along with a task.

    training: target -> reference of its train and validation images; None where the images are too large for the object
    store. tests: reference of splits without those: test images, masks, out sets, calibration images. auxiliary:
    reference of the held auxiliary set, or of None. last: what this process reads of the shards, kept while its next
    work needs the same.
    """

    store: SplitStore
    manifest: SplitManifest
    training: Mapping[str, ray.ObjectRef] | None = None
    tests: ray.ObjectRef | None = None
    auxiliary: ray.ObjectRef | None = None
    last: dict[tuple[tuple[str, ...], bool, bool], ShardedSplits] = field(default_factory=dict, compare=False)

    def of(self, work: Work, rank: int = 0, world: int = 1) -> SharedSplits:
        """The images that a worker needs for its part of the work."""
        if self.training is not None:
            return MappedSplits(self)
        targets, auxiliary, analysis = self.manifest.targets.names, False, isinstance(work, AnalysisWork)
        if isinstance(work, TrialWork | StageWork):
            units = units_of(work, self.manifest, rank, world)
            targets = tuple(sorted({unit.unit.target for unit in units}))
            auxiliary = any(needs_auxiliary(work.method, unit) for unit in units)
        if isinstance(work, AnalysisWork):
            targets = (work.target,)
        part = targets, auxiliary, analysis
        if part not in self.last:
            self.last.clear()  # before others are read
            masks = self.store.masks(self.manifest.digest) if analysis else None
            self.last[part] = ShardedSplits(self.manifest, self.tables, targets, auxiliary=auxiliary, masks=masks)
        return self.last[part]

    def tables(self) -> Iterable[pa.Table]:
        """All shards, as Ray Data reads them."""
        import ray.data

        batches: Iterable[pa.Table] = ray.data.read_parquet(self.manifest.folders).iter_batches(
            batch_size=None, batch_format="pyarrow"
        )
        return batches


def units_of(work: TrialWork | StageWork, manifest: SplitManifest, rank: int, world: int) -> Sequence[UnitWork]:
    """The units that a worker trains."""
    if isinstance(work, StageWork):
        return [work.stage]
    return work.assigned(rank, world, manifest.shape, manifest.counts)


def share_images(store: SplitStore, digest: str, splits: Splits | None, nodes: Sequence[Node]) -> SharedImages:
    """Put images into the object store, each target's apart and the test images once, if they fit into every node's.

    splits: those that the store keeps under the digest, where they are in memory.
    """
    manifest = store.manifest(digest)
    if bytes_of(manifest) > FITTING * min(node.get("object_store_memory", 0) for node in nodes):
        return SharedImages(store, manifest)
    splits = splits or store.read(digest)
    nothing = splits.train.take(np.arange(0))
    return SharedImages(
        store,
        manifest,
        {target: ray.put(splits.training_images(target)) for target in splits.targets.names},
        ray.put(replace(splits, train=nothing, val=nothing, auxiliary=None)),
        ray.put(splits.auxiliary),
    )


def bytes_of(manifest: SplitManifest) -> float:
    """Bytes of the pixels in the object store: a class that is normal for several targets is there once for each."""
    shape, members = manifest.shape, [manifest.targets.members_of(target) for target in manifest.targets.names]
    copies = sum(map(len, members)) / len(set().union(*members))
    images = sum(count * (copies if part in ("train", "val") else 1) for part, count in manifest.sizes.items())
    return images * shape.channels * shape.height * shape.width


class MappedSplits(SharedSplits):
    """Of splits in the object store: a process maps what it looks at, and copies nothing."""

    def __init__(self, images: SharedImages) -> None:
        super().__init__(images.manifest)
        self._images = images

    @cached_property
    def _tests(self) -> Splits:
        splits: Splits = ray.get(self._images.tests)
        return splits

    def splits(self) -> Splits:
        return self._tests

    def training_images(self, target: str) -> tuple[LabelledImages, LabelledImages]:
        assert self._images.training is not None
        images: tuple[LabelledImages, LabelledImages] = ray.get(self._images.training[target])
        return images

    def auxiliary_images(self) -> AuxiliaryImages | None:
        images: AuxiliaryImages | None = ray.get(self._images.auxiliary)
        return images
