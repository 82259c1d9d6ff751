"""Flows as a workload: which units there are, what each needs, and which of the scores is the detector's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from workloads.flows.architecture import kept, macs, parameters
from workloads.flows.architecture import problems as architecture_problems
from workloads.flows.config import DENSE_STEPS, PUBLISHED_SCHEDULES, FlowConfig, architecture, of_general
from workloads.keys import keys_of
from workloads.units import (
    GENERAL,
    Analysis,
    DataFacts,
    ImageShape,
    PartNames,
    TrainingCounts,
    Unit,
    square_problems,
    training_bytes,
)

if TYPE_CHECKING:  # planning needs no torch
    import numpy as np
    import torch

    from workloads.data.view import TargetView
    from workloads.flows.learner import FlowLearner
    from workloads.flows.scorer import FlowScorer
    from workloads.method import Scores, Tensors
    from workloads.training.distributed import Parallel


class Flows:
    """One flow a target is the work of a trial; the general flow, where there is one, is a stage of them all."""

    name: ClassVar[str] = "flow"
    part_names: ClassVar[PartNames] = PartNames()
    analyses: ClassVar[Mapping[str, Analysis]] = {
        "correlation": Analysis(
            "How alike a flow and the general flow rank images by likelihood.",
            "workloads.flows.analyses.correlation:correlation",
        ),
        "samples": Analysis(
            "Images drawn from the flow and from the general flow.",
            "workloads.flows.analyses.samples:samples",
        ),
        "curves": Analysis(
            "Bits/dim over the steps of training, and what was skipped.",
            "workloads.flows.analyses.curves:curves",
        ),
    }
    selections: ClassVar[tuple[str, ...]] = ("contrastive", "likelihood", "oracle")
    config_type: ClassVar[type] = FlowConfig

    def __init__(self, config: FlowConfig) -> None:
        self.config = config

    @staticmethod
    def data_problems(config: FlowConfig, data: DataFacts) -> Iterator[tuple[str, str]]:
        """What does not fit between the network and the data: (key, message)."""
        yield from (unfit := list(square_problems(data.shape)))
        for key, message in () if unfit else architecture_problems(architecture(config, 1, data.shape.side)):
            yield "data.side" if key == "side" else key, message
        if config.hierarchy == "general" and not data.auxiliary:
            yield "data.auxiliary", "hierarchy 'general' needs auxiliary images; name some, or set it to 'none'"
        if config.supervised and not data.pooled:
            yield "supervised", "needs several normal classes: set data.protocol to 'in_out'"
        elif config.supervised and data.classes == 1:
            yield "supervised", "needs two normal classes or more, and these images have one; set it to false"
        if data.select_by == "contrastive" and config.hierarchy == "none":
            yield "select_by", "'contrastive' needs a general flow, and hierarchy is 'none'; use 'likelihood'"

    @staticmethod
    def share_problems(config: FlowConfig, workers: int) -> Iterator[tuple[str, str]]:
        """What cannot be shared by `workers` that split every batch; shares need not be equal."""
        keys = ("batch_size", "general_batch_size") if config.hierarchy == "general" else ("batch_size",)
        for key in keys:
            if getattr(config, key) < workers:
                yield key, f"{getattr(config, key)} leaves some of {workers} workers without an image"

    @staticmethod
    def published_schedule(dataset: str, config: FlowConfig) -> dict[str, Any]:
        """Keys whose published value, for a dataset and a kind of flow, is not the default."""
        return PUBLISHED_SCHEDULES.get(dataset, {}) | ({"steps": DENSE_STEPS} if config.kind == "dense" else {})

    def stages(self, targets: Sequence[str]) -> list[Unit]:  # noqa: ARG002 - one general flow whatever the targets
        return [Unit("flow", GENERAL, "flow")] if self.config.hierarchy == "general" else []

    def units(self, targets: Sequence[str]) -> list[Unit]:
        return [Unit("detector", target, "flow") for target in targets]

    def needs(self, unit: Unit) -> list[Unit]:
        """A target's flow starts from the general flow and is scored against it."""
        return self.stages([unit.target]) if unit.kind == "detector" else []

    def config_of(self, unit: Unit) -> FlowConfig:
        """The unit's own config: the general flow learns by maximum likelihood alone, at its own schedule."""
        return of_general(self.config) if unit.target == GENERAL else self.config

    def stage_config(self, unit: Unit) -> dict[str, Any]:
        left_out = keys_of(self.config, "execution")
        return {key: value for key, value in asdict(self.config_of(unit)).items() if key not in left_out}

    def steps(self, unit: Unit, counts: TrainingCounts) -> int:
        config, images = self.config_of(unit), counts.auxiliary if unit.target == GENERAL else counts.images
        return max(1, round(config.epochs * images / config.batch_size)) if config.epochs else 0

    def macs(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:
        """A pass forward and back costs three forward; the frozen general flow goes forward alone."""
        config = self.config_of(unit)
        passes = 3 + 3 * (config.outlier_loss != "none") + (config.outlier_loss == "ratio") + config.supervised
        image = macs(architecture(config, shape.channels, shape.side))
        return passes * image * config.batch_size * self.steps(unit, counts)

    def memory(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:  # noqa: ARG002 - none depends on them
        """The general flow, frozen, keeps nothing for a backward pass; normal and other images pass together."""
        config = self.config_of(unit)
        net = architecture(config, shape.channels, shape.side)
        images = -(-config.batch_size // config.accumulate) * (1 + (config.outlier_loss != "none"))
        return training_bytes(parameters(net), kept(net) * images) + 4 * parameters(net) * len(self.needs(unit))

    def stage(
        self,
        unit: Unit,
        view: "TargetView",
        artifacts: "Mapping[str, Tensors]",  # noqa: ARG002 - none
        parallel: "Parallel",
    ) -> "FlowLearner":
        from workloads.flows.learner import FlowLearner

        return FlowLearner(self.config_of(unit), unit, view, parallel, self.steps(unit, view.counts))

    def detector(
        self, unit: Unit, view: "TargetView", artifacts: "Mapping[str, Tensors]", parallel: "Parallel"
    ) -> "FlowLearner":
        from workloads.flows.learner import FlowLearner

        steps, general = self.steps(unit, view.counts), self.general_of(unit, artifacts)
        return FlowLearner(self.config, unit, view, parallel, steps, general)

    def code(self, unit: Unit) -> tuple[str, ...]:  # noqa: ARG002 - all are flows
        return (__name__,)

    def scored_with(self, unit: Unit) -> list[Unit]:
        """The ratio is taken to the general flow."""
        return self.needs(unit)

    def scorer(
        self,
        unit: Unit,
        shape: ImageShape,  # noqa: ARG002 - the state says it
        device: "torch.device",
        artifacts: "Mapping[str, Tensors]",
    ) -> "FlowScorer":
        from workloads.flows.scorer import FlowScorer

        return FlowScorer(self.config, device, self.general_of(unit, artifacts))

    def general_of(self, unit: Unit, artifacts: "Mapping[str, Tensors]") -> "Tensors | None":
        """The general flow among the artifacts of a unit's stages."""
        return next((artifacts[str(need)] for need in self.needs(unit)), None)

    def combine(self, parts: "Scores") -> "np.ndarray":
        """The one score that the config names. Raises KeyError where the flow does not give it."""
        return parts[self.config.score]

    def judged_parts(self) -> tuple[str, ...]:
        return (self.config.score,)

    def remarks(self) -> list[str]:
        """What is not as published, or sees more than the normal class."""
        config, remarks = self.config, list[str]()
        if config.epochs == 0:
            remarks.append("the detectors are the general flow as it is: no normal image trained them")
        if config.outlier_loss != "none":
            remarks.append(f"auxiliary images train the detectors as outliers ({config.outlier_loss} loss)")
        if config.supervised:
            remarks.append("the normal images' class labels train the detectors")
        if config.hierarchy == "general" and not config.from_general:
            remarks.append("trained from scratch and not from the general flow's weights, as published")
        if config.score.startswith("complexity"):
            remarks.append(f"input complexity by Pillow's {config.complexity_codec}; the published one is OpenCV's PNG")
        if config.autocast:
            remarks.append("coupling networks in bfloat16 while training; published: float32")
        return remarks
