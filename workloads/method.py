"""A method: four members are required, and everything else has a default. No torch: planning reads methods.

A method that trains step by step extends `Method`; one that fits in one go extends `FittedMethod`, which asks for `fit`
and `score` in place of a learner and a scorer.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from workloads.keys import keys_of
from workloads.training.seeds import derive_seed
from workloads.units import Analysis, DataFacts, ImageShape, PartNames, TrainingCounts, Unit

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from workloads.data.view import TargetView
    from workloads.learner import Learner, Localizing, Scorer, Scores, State, Tensors
    from workloads.training.distributed import Parallel


def mean_of_parts(parts: "Scores") -> "np.ndarray":
    """(N,) float32, from (N,) of each part."""
    import numpy as np

    mean: np.ndarray = np.stack(list(parts.values())).mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32)


@dataclass(frozen=True)
class Cost:
    """Of training a unit to the end. macs: multiply-accumulates. bytes: held on its device, images apart. shared:
    whether workers can share its batches; sent, messages: bytes and messages that each of them then sends, in all."""

    macs: float
    bytes: float = 0.0
    shared: bool = True
    sent: float = 0.0
    messages: float = 0.0


class Method(ABC):
    """A method at one point of its config: `Method(config)`.

    Required: `name`, `Config`, `learner`, `scorer`. Scores are higher for more anomalous images.
    """

    name: ClassVar[str]
    Config: ClassVar[type]
    """A frozen dataclass of `workloads.keys.key(default, ...)`, one of them an int `seed`."""

    analyses: ClassVar[Mapping[str, Analysis]] = {}  # by name
    part_names: ClassVar[PartNames] = PartNames()  # what results call its parts
    files: ClassVar[tuple[str, ...]] = ()
    """Config keys that name a file of this machine: a launch writes its absolute path in."""
    selections: ClassVar[tuple[str, ...]] = ("contrastive", "oracle")
    """Criteria that a winner can be chosen by (see `workloads.scoring.selection`). Where learners have no proxy
    anomalies of their own, `workloads.scoring.proxies` makes some."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def learner(
        self, unit: Unit, view: "TargetView", stages: "Mapping[str, Tensors]", parallel: "Parallel"
    ) -> "Learner":
        """What trains the unit. stages: by str(unit), the artifacts of the stages that it needs. A learner that also
        scores images is its own scorer while it is trained."""

    @abstractmethod
    def scorer(
        self, unit: Unit, shape: ImageShape, stages: "Mapping[str, Tensors]", device: "torch.device"
    ) -> "Scorer":
        """What scores images of that shape, once a learner's state is loaded. stages: as `scoring_needs` names."""

    def units(self, targets: Sequence[str]) -> list[Unit]:
        """The work of one trial: by default a detector a target."""
        return [Unit("detector", target, "whole") for target in targets]

    def stages(self, targets: Sequence[str]) -> list[Unit]:  # noqa: ARG002 - none
        """Work shared between trials, done once."""
        return []

    def needs(self, unit: Unit) -> list[Unit]:
        """The stages whose artifacts the unit reads, by default all of its target for a unit of a trial.

        A stage may need others, never in a circle.
        """
        return self.stages([unit.target]) if unit in self.units([unit.target]) else []

    def scoring_needs(self, unit: Unit) -> list[Unit]:  # noqa: ARG002 - none
        """Of the stages it needs, those whose artifacts scoring reads as well."""
        return []

    def stage_config(self, unit: Unit) -> dict[str, Any]:  # noqa: ARG002 - the same of all
        """The part of the config that determines a stage: keys of the role `stage`."""
        return {name: getattr(self.config, name) for name in keys_of(self.config, "stage")}

    def code(self, unit: Unit) -> tuple[str, ...]:  # noqa: ARG002 - the same of all
        """Modules that training and scoring the unit begin from: an edit of what they import makes another unit of it.

        The method's own module alone stands for all that it imports; beside others, for what it imports at its top.
        """
        return (type(self).__module__,)

    def packages(self) -> tuple[str, ...]:
        """Imported names of packages that this config's numbers depend on, beside those that `code` leads to: `code`
        leads to no package that only some configs need where `import_module` imports it."""
        return ()

    def check(self, facts: DataFacts) -> Iterator[tuple[str, str]]:
        """(key, message) of what does not fit between config and data: by default, that workers do not share batches.

        What does not fit between keys alone is for a method ``problems(self)`` of the config.
        """
        if facts.workers > 1:
            yield "resources.share", f"{self.name} cannot share batches between workers; use 'units'"

    def cost(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> Cost | None:  # noqa: ARG002
        """What training the unit takes; None where it is not known, and a plan tells it from what earlier runs took."""
        return None

    def combine(self, parts: "Scores") -> "np.ndarray":
        """The score of the whole detector from its parts' scores, each (N,) float32: by default their mean."""
        return mean_of_parts(parts)

    def judged_parts(self) -> tuple[str, ...] | None:
        """The parts that are combined, and by whose scores of proxy anomalies configs are compared; None for all."""
        return None

    def localizing(self, scorers: "Sequence[Scorer]") -> "list[Localizing]":
        """The scorers of a detector whose maps are averaged into its own; none where they give no maps."""
        from workloads.learner import Localizing

        return [scorer for scorer in scorers if isinstance(scorer, Localizing)]

    def programs(self, scorers: "Sequence[Scorer]") -> "list[nn.Module]":
        """Modules whose mean is the detector's score, uint8 (N, C, H, W) -> float32 (N,) each, so that it can be
        exported as a program; none where torch alone does not compute it."""
        from workloads.learner import Programmable

        able = [scorer for scorer in scorers if isinstance(scorer, Programmable)]
        if len(able) < len(scorers) or type(self).combine is not Method.combine:
            return []
        return [scorer.module() for scorer in able]

    def prepare(self, data_dir: "Path | None") -> None:  # noqa: B027 - nothing by default
        """See, before any work starts, that what the config needs beside images is there, such as a network's weights.

        data_dir: where datasets lie. Raises UserError, with the fix, where it is not there.
        """

    @property
    def external(self) -> str:
        """Which images from elsewhere the numbers rest on, such as "ImageNet", for tables to mark; empty for none."""
        return ""

    def remarks(self) -> list[str]:
        """What a reader of the results must know of this config, in sentences."""
        return []

    def seed(self, unit: Unit) -> int:
        """Of a unit's randomness: no other unit, nor any order of work, touches it."""
        return derive_seed(self.config.seed, unit)


class FittedMethod(Method):
    """A method that fits in one go. Required: `name`, `Config`, `fit`, `score`."""

    @abstractmethod
    def fit(self, images: "Tensor") -> "State":
        """What is learnt from all training images of a target, uint8 (N, C, H, W) on the worker's device.

        Random numbers of torch's global generator are seeded by the config's seed and the target.
        """

    def fit_windows(self, images: "Tensor", numbers: "NDArray[np.int64]") -> "State":  # noqa: ARG002 - few look
        """Optional: `fit` where it matters which rows show the same. numbers: (N,), equal for windows of one image, and
        for images of one part."""
        return self.fit(images)

    def fit_like(self, whole: "State", images: "Tensor", numbers: "NDArray[np.int64]") -> "State":  # noqa: ARG002
        """Optional: `fit_windows` to some of the images that `whole` was fitted to, with scores on the scale of the
        whole's."""
        return self.fit_windows(images, numbers)

    @abstractmethod
    def score(self, fitted: "State", images: "Tensor") -> "Tensor":
        """(N,) scores, higher = more anomalous, of uint8 (N, C, H, W) of the shape and on the device of the fit."""

    def maps(self, fitted: "State", images: "Tensor") -> "Tensor":
        """Optional: (N, H, W) scores of pixels, higher = more anomalous; images as of `score`."""
        raise NotImplementedError

    def extend(self, fitted: "State", images: "Tensor", numbers: "NDArray[np.int64]") -> "State":
        """Optional: what is learnt once further normal images are added, at least one; images, numbers and random
        numbers as of `fit_windows`."""
        raise NotImplementedError

    def module(self, fitted: "State") -> "nn.Module":
        """Optional: `score` as a module, to be exported, where `score` itself is not written so that it can be."""
        from workloads.training.fitted import FittedProgram

        return FittedProgram(self, fitted)

    def learner(self, unit: Unit, view: "TargetView", stages: "Mapping[str, Tensors]", parallel: "Parallel") -> Any:  # noqa: ARG002
        from workloads.data.images import image_of_window
        from workloads.training.fitted import fit_of

        numbers = image_of_window(view.train_groups) if view.train_groups else None
        return fit_of(self, view.device, unit, view.train, numbers)

    def scorer(self, unit: Unit, shape: ImageShape, stages: "Mapping[str, Tensors]", device: "torch.device") -> Any:  # noqa: ARG002
        from workloads.training.fitted import fit_of

        return fit_of(self, device, unit)
