"""Flows as a workload: which units there are, what each needs, and which of the scores is the detector's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workloads.flows.architecture import kept, macs, parameters
from workloads.flows.architecture import problems as architecture_problems
from workloads.flows.config import FlowConfig, architecture, of_general
from workloads.method import Cost, Method
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
    from torch import nn

    from workloads.data.view import TargetView
    from workloads.flows.learner import FlowLearner
    from workloads.flows.scorer import FlowScorer
    from workloads.learner import Scores, Tensors
    from workloads.training.distributed import Parallel


class Flows(Method):
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
    Config: ClassVar[type] = FlowConfig
    config: FlowConfig

    def check(self, facts: DataFacts) -> Iterator[tuple[str, str]]:
        config, keys = self.config, ("batch_size", "general_batch_size")
        for key in keys if config.hierarchy == "general" else keys[:1]:
            if getattr(config, key) < facts.workers:  # shares need not be equal
                yield key, f"{getattr(config, key)} leaves some of {facts.workers} workers without an image"
        yield from (unfit := list(square_problems(facts.shape)))
        for key, message in () if unfit else architecture_problems(architecture(config, 1, facts.shape.side)):
            yield "data.side" if key == "side" else key, message
        if config.hierarchy == "general" and not facts.auxiliary:
            yield "data.auxiliary", "hierarchy 'general' needs auxiliary images; name some, or set it to 'none'"
        if config.supervised and not facts.pooled:
            yield "supervised", "needs several normal classes: set data.protocol to 'in_out'"
        elif config.supervised and facts.classes == 1:
            yield "supervised", "needs two normal classes or more, and these images have one; set it to false"
        if facts.select_by == "contrastive" and config.hierarchy == "none":
            yield "select_by", "'contrastive' needs a general flow, and hierarchy is 'none'; use 'likelihood'"

    def stages(self, targets: Sequence[str]) -> list[Unit]:  # noqa: ARG002 - one general flow whatever the targets
        return [Unit("flow", GENERAL, "flow")] if self.config.hierarchy == "general" else []

    def units(self, targets: Sequence[str]) -> list[Unit]:
        return [Unit("detector", target, "flow") for target in targets]

    def config_of(self, unit: Unit) -> FlowConfig:
        """The unit's own config: the general flow learns by maximum likelihood alone, at its own schedule."""
        return of_general(self.config) if unit.target == GENERAL else self.config

    def steps(self, unit: Unit, counts: TrainingCounts) -> int:
        config, images = self.config_of(unit), counts.auxiliary if unit.target == GENERAL else counts.images
        return max(1, round(config.epochs * images / config.batch_size)) if config.epochs else 0

    def cost(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> Cost:
        """A pass forward and back costs three forward; the general flow, frozen, goes forward alone and keeps nothing.

        Normal and other images pass together. Workers sum their gradients once a step.
        """
        config, steps = self.config_of(unit), self.steps(unit, counts)
        net = architecture(config, shape.channels, shape.side)
        passes = 3 + 3 * (config.outlier_loss != "none") + (config.outlier_loss == "ratio") + config.supervised
        images = -(-config.batch_size // config.accumulate) * (1 + (config.outlier_loss != "none"))
        frozen = 4 * parameters(net) * len(self.needs(unit))
        return Cost(
            passes * macs(net) * config.batch_size * steps,
            training_bytes(parameters(net), kept(net) * images) + frozen,
            sent=4 * parameters(net) * steps,
            messages=steps,
        )

    def learner(
        self, unit: Unit, view: "TargetView", stages: "Mapping[str, Tensors]", parallel: "Parallel"
    ) -> "FlowLearner":
        """A target's flow starts from the general flow and is scored against it."""
        from workloads.flows.learner import FlowLearner

        steps, general = self.steps(unit, view.counts), self.general_of(unit, stages)
        return FlowLearner(self.config_of(unit), unit, view, parallel, steps, general)

    def scoring_needs(self, unit: Unit) -> list[Unit]:
        """The ratio is taken to the general flow."""
        return self.needs(unit)

    def scorer(
        self,
        unit: Unit,
        shape: ImageShape,  # noqa: ARG002 - the state says it
        stages: "Mapping[str, Tensors]",
        device: "torch.device",
    ) -> "FlowScorer":
        from workloads.flows.scorer import FlowScorer

        return FlowScorer(self.config, device, self.general_of(unit, stages))

    def general_of(self, unit: Unit, stages: "Mapping[str, Tensors]") -> "Tensors | None":
        """The general flow among the artifacts of a unit's stages."""
        return next((stages[str(need)] for need in self.needs(unit)), None)

    def combine(self, parts: "Scores") -> "np.ndarray":
        """The one score that the config names. Raises KeyError where the flow does not give it."""
        return parts[self.config.score]

    def programs(self, scorers: "Sequence[Any]") -> "list[nn.Module]":
        """The score that the config names; none where it is one of file lengths."""
        return [] if self.config.score.startswith("complexity") else [scorer.module() for scorer in scorers]

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
        if config.precision == "bf16":
            remarks.append("coupling networks in bfloat16 while training; published: float32")
        return remarks
