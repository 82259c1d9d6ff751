"""One target's images on a device: all that a learner, a scorer or an analysis sees of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.data.images import CALIBRATION, NO_CLASS, AuxiliaryImages, LabelledImages, out_split, rows_of_images
from workloads.data.splits import Targets
from workloads.data.windows import Places, stitch
from workloads.training.distributed import Parallel
from workloads.units import GENERAL, ImageShape, TrainingCounts


class ImageStream(Protocol):
    """An auxiliary set that is too large to be held: batches of it for ever, epoch after epoch in a fresh order."""

    def __len__(self) -> int:
        """Images of an epoch."""
        ...

    def batch(self, seed: int, size: int, step: int, parallel: Parallel) -> Tensor:
        """This worker's rows of batch `step`, of `size` images over all workers, in the order that `seed` names: uint8
        (b, C, H, W) on the device. Any step may be the first; the ones after it are ready when they are asked for."""
        ...


@dataclass(frozen=True)
class TargetView:
    """Images uint8 (N, C, H, W). `train`, `val`, `labels` and `auxiliary` are on the device; `test`, `out`, `masks` and
    `calibration` stay on the host, as workers share them, and a scorer moves what it scores.

    labels: int64 (N,) of `train`, which of the target's `classes`; None where unknown. ids, class_names: of the rows of
    a split, by `train`, `val`, `test`, `calibration`, `out/NAME`; an image's windows share its id. anomalous: (M,) bool
    of `test`. masks: uint8 (M, H, W), 1 where a pixel of `test` is anomalous; None where unknown. calibration: normal
    images that thresholds rest on, None where none were set apart. auxiliary: the auxiliary set's train and validation
    images, where they were asked for; a sample of it where it is a `stream`. The view of the target `GENERAL` has the
    auxiliary images as its own. windows: where the rows of a split lie in their images, by its name as in `ids`, for
    splits whose images have several windows. train_groups: of the rows of `train`, what each shows: its image, or what
    several images show, such as one part.
    """

    target: str
    train: Tensor
    val: Tensor
    test: Tensor | None = None
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anomalous: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    out: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Tensor | None = None
    calibration: Tensor | None = None
    auxiliary: tuple[Tensor, Tensor] | None = None
    stream: ImageStream | None = None
    train_groups: Sequence[str] = ()
    windows: Mapping[str, Places] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return self.train.device

    @property
    def shape(self) -> ImageShape:
        return ImageShape(*self.train.shape[1:])

    @property
    def counts(self) -> TrainingCounts:
        """Of this target, and of the auxiliary set as far as the view has it."""
        if self.stream is not None:
            return TrainingCounts(len(self.train), len(self.stream))
        return TrainingCounts(len(self.train), 0 if self.auxiliary is None else len(self.auxiliary[0]))

    @property
    def tested(self) -> Tensor:
        """The test images. Raises ValueError for a view without them."""
        if self.test is None:
            raise ValueError(f"this view of {self.target} has no test images")
        return self.test

    def stitched(self, split: str, maps: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Maps (N, h, w) of the rows of a split whose images have several windows as maps (H, W) of its images."""
        places = self.windows[split]
        return [stitch(maps[rows], places[rows]) for rows in rows_of_images(self.ids[split])]

    def test_images(self, *, anomalous: bool) -> Tensor:
        """The anomalous test images, or the normal ones."""
        return self.tested[torch.from_numpy(self.anomalous == anomalous).to(self.tested.device)]

    def on_device(self) -> "TargetView":
        """The view with everything on its device, for work that looks at the same images again and again."""
        return replace(
            self,
            test=None if self.test is None else self.test.to(self.device),
            out={name: images.to(self.device) for name, images in self.out.items()},
            masks=None if self.masks is None else self.masks.to(self.device),
        )


def training_view(
    target: str, train: LabelledImages, val: LabelledImages, targets: Targets, device: torch.device
) -> TargetView:
    """A target's images to learn from, without its test images."""
    splits = {"train": train, "val": val}
    return TargetView(
        target,
        train=torch.from_numpy(train.images).to(device),
        val=torch.from_numpy(val.images).to(device),
        labels=torch.from_numpy(targets.among_members(target, train.labels)).to(device),
        classes=targets.members_of(target),
        ids={name: part.ids for name, part in splits.items()},
        class_names={name: [targets.classes[label] for label in part.labels] for name, part in splits.items()},
        windows=windows_of(splits),
        train_groups=[targets.groups.get(name, name) for name in train.ids],
    )


def auxiliary_view(held: tuple[Tensor, Tensor], val_ids: Sequence[str]) -> TargetView:
    """The auxiliary images as a target's own; it has no test images. held: train and validation, on the device."""
    train, val = held
    return TargetView(
        GENERAL,
        train,
        val,
        labels=torch.full((len(train),), NO_CLASS, device=train.device),
        classes=(GENERAL,),
        ids={"val": val_ids},
        class_names={"val": [GENERAL] * len(val)},
        auxiliary=held,
    )


def with_tests(
    view: TargetView,
    test: LabelledImages,
    masks: NDArray[np.uint8] | None,
    targets: Targets,
    out: Mapping[str, LabelledImages],
    calibration: LabelledImages | None = None,
) -> TargetView:
    """The view with what its target is tested on, the out sets and its calibration images; nothing is copied."""
    of_classes = {"test": test} | ({} if calibration is None else {CALIBRATION: calibration})
    splits = of_classes | {out_split(name): part for name, part in out.items()}
    return replace(
        view,
        test=torch.from_numpy(test.images),
        anomalous=~targets.normal(view.target, test.labels),
        ids={**view.ids, **{name: part.ids for name, part in splits.items()}},
        class_names={
            **view.class_names,
            **{name: [targets.classes[label] for label in part.labels] for name, part in of_classes.items()},
            **{out_split(name): [name] * len(part) for name, part in out.items()},
        },
        out={name: torch.from_numpy(part.images) for name, part in out.items()},
        masks=None if masks is None else torch.from_numpy(masks),
        calibration=None if calibration is None else torch.from_numpy(calibration.images),
        windows={**view.windows, **windows_of(splits)},
    )


def windows_of(splits: Mapping[str, LabelledImages]) -> dict[str, Places]:
    """Of the splits whose images have several windows."""
    return {name: images.windows for name, images in splits.items() if images.windows is not None}


def held_auxiliary(images: AuxiliaryImages, device: torch.device) -> tuple[Tensor, Tensor]:
    """Train and validation images on the device."""
    train, val = (torch.from_numpy(part.images).to(device) for part in (images.train, images.val))
    return train, val
