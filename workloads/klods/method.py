"""KLODS as a workload: the trained flow is a shared stage; a trial trains nothing, it fits moments to its latents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from workloads.errors import UserError
from workloads.flows.architecture import latent_shapes, macs, parameters
from workloads.flows.config import architecture
from workloads.flows.method import Flows
from workloads.klods.config import levels
from workloads.klods.flow_config import KlodsFlowConfig, flow_config
from workloads.klods.splits import check_enough, counted
from workloads.method import Cost, Method
from workloads.units import Analysis, DataFacts, ImageShape, TrainingCounts, Unit, window_problems

if TYPE_CHECKING:  # planning needs no torch
    import numpy as np
    import torch

    from workloads.data.view import TargetView
    from workloads.flows.learner import FlowLearner
    from workloads.klods.detector import GroupScorer, MomentsLearner
    from workloads.learner import Scores, Tensors
    from workloads.training.distributed import Parallel


class Klods(Method):
    """A flow a target is a stage that all trials share whose flow keys agree; a trial is a way to score groups."""

    name: ClassVar[str] = "klods"
    analyses: ClassVar[Mapping[str, Analysis]] = {
        "selection": Analysis(
            "Every split, level, regulariser and reference, judged without an anomaly.",
            "workloads.klods.analyses.selection:selection",
        ),
        "latents": Analysis(
            "Where the latents of a set differ from the prior: variance, mean, neighbours, channels.",
            "workloads.klods.analyses.latents:latents",
        ),
    }
    Config: ClassVar[type] = KlodsFlowConfig
    config: KlodsFlowConfig

    def __init__(self, config: KlodsFlowConfig) -> None:
        super().__init__(config)
        self.flows = Flows(flow_config(config))

    def check(self, facts: DataFacts) -> Iterator[tuple[str, str]]:
        """Also a split that does not fit the latents, n <= m, and windows: a group is one of whole images."""
        yield from window_problems(facts, "groups are of whole images")
        flow = replace(facts, select_by="")  # proxies are made of latents here, not of auxiliary images
        problems = list(self.flows.check(flow))
        yield from problems
        if not problems and (message := unscorable(self.config, facts.shape)):
            yield "split", message

    def stages(self, targets: Sequence[str]) -> list[Unit]:
        return [Unit("flow", target, "flow") for target in targets]

    def units(self, targets: Sequence[str]) -> list[Unit]:
        return [Unit("detector", target, "groups") for target in targets]

    def cost(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> Cost:
        """A detector passes every training image through the flow once, on every worker, and holds it and all their
        latents."""
        if unit.kind != "detector":
            return self.flows.cost(unit, shape, counts)
        net = architecture(self.flows.config, shape.channels, shape.side)
        held = 4 * (parameters(net) + counts.images * shape.values)
        return Cost(macs(net) * counts.images, held, shared=False)

    def learner(
        self, unit: Unit, view: "TargetView", stages: "Mapping[str, Tensors]", parallel: "Parallel"
    ) -> "FlowLearner | MomentsLearner":
        """Each worker fits all moments. Raises UserError, before a flow is trained, where no group of a size could be
        scored with it."""
        if unit.kind != "detector":
            if message := unscorable(self.config, view.shape):
                raise UserError(message, where="split")
            return self.flows.learner(unit, view, stages, parallel)
        from workloads.klods.detector import MomentsLearner

        return MomentsLearner(self.config, view, stages[str(self.needs(unit)[0])])

    def code(self, unit: Unit) -> tuple[str, ...]:
        """The flow is trained by `Flows`, from its own config: an edit of how groups are scored retrains none."""
        return super().code(unit) if unit.kind == "detector" else self.flows.code(unit)

    def scoring_needs(self, unit: Unit) -> list[Unit]:
        return self.needs(unit)

    def scorer(
        self,
        unit: Unit,
        shape: ImageShape,  # noqa: ARG002 - the flow says it
        stages: "Mapping[str, Tensors]",
        device: "torch.device",
    ) -> "GroupScorer":
        from workloads.klods.detector import GroupScorer

        return GroupScorer(self.config, device, stages[str(self.needs(unit)[0])])

    def combine(self, parts: "Scores") -> "np.ndarray":
        """The score that the config names, of groups of `judged_size`; of single images where there are no groups."""
        judged = self.judged_parts()[0]
        return parts[judged if judged in parts else f"{self.config.group_score}/1"]

    def judged_parts(self) -> tuple[str, ...]:
        return (f"{self.config.group_score}/{self.config.judged_size}",)

    def remarks(self) -> list[str]:
        """That this is a derivation, and which groups the numbers are of."""
        config = self.config
        remarks = [
            "KLODS' exact estimator could not be read: its scores here are a documented derivation, not the paper's",
            f"AUROC is over groups of {config.judged_size} images, formed with seed {config.group_seed}",
        ]
        if config.group_score.startswith("complexity"):
            remarks.append(f"input complexity by Pillow's {config.complexity_codec}; the published one is OpenCV's PNG")
        if config.contamination < 1:
            remarks.append(f"anomalous groups hold {config.contamination:.0%} anomalies")
        return remarks


def unscorable(config: KlodsFlowConfig, shape: ImageShape) -> str:
    """Why groups of images of that shape cannot be scored, in a line; empty where they can."""
    shapes = latent_shapes(architecture(flow_config(config), shape.channels, shape.side))
    try:
        for index in levels(config, len(shapes)):
            for size in config.group_sizes:
                vectors = counted(shapes[index], config.split, size)
                check_enough(vectors.n, vectors.m, config.regulariser)
    except UserError as error:
        return f"{error.headline}; {error.fix}"
    return ""
