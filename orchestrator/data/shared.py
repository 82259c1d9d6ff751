"""Images on the workers' side: views of single targets, from splits in memory or from stored shards."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from orchestrator.data.auxiliary.streamed import StreamedSet
from orchestrator.data.split_store import SplitManifest, assemble
from workloads.data.images import AuxiliaryImages, LabelledImages
from workloads.data.splits import Splits
from workloads.data.view import TargetView, auxiliary_view, held_auxiliary, training_view, with_tests
from workloads.units import GENERAL


@dataclass(frozen=True)
class HeldAuxiliary:
    """What a worker holds of the auxiliary set: images on the device, ids of the held-out ones, and the stream that
    the images are a sample of, where they are too many."""

    images: tuple[Tensor, Tensor]
    val_ids: Sequence[str]
    stream: StreamedSet | None = None


class SharedSplits(ABC):
    """All that work sees of a run's images. A worker has one; what it has once put on its device stays there.

    shape: of every image. counts: training images of the largest target, known before any image is read.
    """

    def __init__(self, of: Splits | SplitManifest) -> None:
        """of: what says which images there are."""
        self.shape, self.counts, self.targets, self.streamed = of.shape, of.counts, of.targets, of.streamed
        self._training: dict[tuple[str, torch.device], TargetView] = {}
        self._held: dict[torch.device, HeldAuxiliary] = {}

    @abstractmethod
    def splits(self) -> Splits:
        """Test images, masks, out sets and calibration images; the others, too, unless they are had apart."""

    def training_images(self, target: str) -> tuple[LabelledImages, LabelledImages]:
        """A target's train and validation images, asked for once a device."""
        return self.splits().training_images(target)

    def auxiliary_images(self) -> AuxiliaryImages | None:
        """The auxiliary set, where it is held."""
        return self.splits().auxiliary

    def view(self, target: str, device: torch.device, *, test: bool = True, auxiliary: bool = False) -> TargetView:
        """A target's images, to learn from and, with `test`, to be tested on, the out sets among them.

        auxiliary: with the auxiliary images, which may be the most by far; a streamed set is in every view. The target
        `GENERAL` has these alone. Raises ValueError where there are none.
        """
        if target == GENERAL:
            held = self._auxiliary_on(device)
            return replace(auxiliary_view(held.images, held.val_ids), stream=held.stream)
        if (target, device) not in self._training:
            train, val = self.training_images(target)
            self._training[target, device] = training_view(target, train, val, self.targets, device)
        view = self._training[target, device]
        if auxiliary or self.streamed is not None:
            held = self._auxiliary_on(device)
            view = replace(view, auxiliary=held.images, stream=held.stream)
        if not test:
            return view
        splits = self.splits()
        images, masks = splits.test_images(target)
        return with_tests(view, images, masks, self.targets, splits.out, splits.calibration_images(target))

    def _auxiliary_on(self, device: torch.device) -> HeldAuxiliary:
        if device not in self._held:
            self._held[device] = self._read_auxiliary(device)
        return self._held[device]

    def _read_auxiliary(self, device: torch.device) -> HeldAuxiliary:
        if self.streamed is not None:
            stream = StreamedSet(self.streamed.path, self.streamed.images, self.shape.channels, device)
            train, val, ids = stream.sample()
            return HeldAuxiliary((train, val), ids, stream)
        images = self.auxiliary_images()
        if images is None:
            raise ValueError("auxiliary images are asked for, and the data has none")
        return HeldAuxiliary(held_auxiliary(images, device), images.val.ids)


class SplitsInMemory(SharedSplits):
    """Of splits in this process, or mapped into it."""

    def __init__(self, splits: Splits) -> None:
        super().__init__(splits)
        self._splits = splits

    def splits(self) -> Splits:
        return self._splits


class ShardedSplits(SharedSplits):
    """Of stored shards, read when the first view is asked for: images of some targets, and the auxiliary ones where
    they are asked for. The host keeps no image that is on another device.

    tables: gives the shards' tables, once or several times, whole or in pieces, in any order. targets: the only ones
    that views can be had of; `GENERAL` among them asks for the auxiliary images, too.
    """

    def __init__(
        self,
        manifest: SplitManifest,
        tables: Callable[[], Iterable[pa.Table]],
        targets: Sequence[str],
        *,
        auxiliary: bool = False,
        masks: NDArray[np.uint8] | None = None,
    ) -> None:
        super().__init__(manifest)
        self.manifest, self._tables, self._masks = manifest, tables, masks
        self._wanted = [target for target in targets if target != GENERAL]
        self._with_auxiliary = self.streamed is None and (auxiliary or GENERAL in targets)
        self._splits: Splits | None = None
        self._waiting: dict[str, tuple[LabelledImages, LabelledImages]] = {}  # until they are on the device

    def splits(self) -> Splits:
        if self._splits is None:
            splits = assemble(self._tables(), self.manifest, self._wanted, auxiliary=self._with_auxiliary)
            self._waiting = {target: splits.training_images(target) for target in self._wanted}
            nothing = splits.train.take(np.arange(0))
            self._splits = replace(splits, train=nothing, val=nothing, masks=self._masks)  # each target has its own
        return self._splits

    def training_images(self, target: str) -> tuple[LabelledImages, LabelledImages]:
        self.splits()
        return self._waiting.pop(target)
