"""KLODS as a workload: the trained flow is a shared stage; a trial trains nothing, it fits moments to its latents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from workloads.errors import UserError
from workloads.flows.architecture import latent_shapes, macs, parameters
from workloads.flows.config import architecture
from workloads.flows.method import Flows
from workloads.klods.config import levels
from workloads.klods.flow_config import KlodsFlowConfig, flow_config
from workloads.klods.splits import check_enough, counted
from workloads.units import Analysis, DataFacts, ImageShape, PartNames, TrainingCounts, Unit

if TYPE_CHECKING:  # planning needs no torch
    import numpy as np
    import torch

    from workloads.data.view import TargetView
    from workloads.flows.learner import FlowLearner
    from workloads.klods.detector import GroupScorer, MomentsLearner
    from workloads.method import Scores, Tensors
    from workloads.training.distributed import Parallel


class Klods:
    """A flow a target is a stage that all trials share whose flow keys agree; a trial is a way to score groups."""

    name: ClassVar[str] = "klods"
    part_names: ClassVar[PartNames] = PartNames()
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
    selections: ClassVar[tuple[str, ...]] = ("contrastive", "oracle")
    config_type: ClassVar[type] = KlodsFlowConfig

    def __init__(self, config: KlodsFlowConfig) -> None:
        self.config, self.flows = config, Flows(flow_config(config))

    @staticmethod
    def data_problems(config: KlodsFlowConfig, data: DataFacts) -> Iterator[tuple[str, str]]:
        """What does not fit between keys and images: a split that does not fit the latents, n <= m."""
        flow = replace(data, select_by="")  # proxies are made of latents here, not of auxiliary images
        problems = list(Flows.data_problems(flow_config(config), flow))
        yield from problems
        if not problems and (message := unscorable(config, data.shape)):
            yield "split", message

    @staticmethod
    def share_problems(config: KlodsFlowConfig, workers: int) -> Iterator[tuple[str, str]]:
        return Flows.share_problems(config, workers)

    @staticmethod
    def published_schedule(dataset: str, config: KlodsFlowConfig) -> dict[str, Any]:
        return Flows.published_schedule(dataset, flow_config(config))

    def stages(self, targets: Sequence[str]) -> list[Unit]:
        return [Unit("flow", target, "flow") for target in targets]

    def units(self, targets: Sequence[str]) -> list[Unit]:
        return [Unit("detector", target, "groups") for target in targets]

    def needs(self, unit: Unit) -> list[Unit]:
        """A detector reads its target's flow."""
        return self.stages([unit.target]) if unit.kind == "detector" else []

    def stage_config(self, unit: Unit) -> dict[str, Any]:
        return self.flows.stage_config(unit)

    def steps(self, unit: Unit, counts: TrainingCounts) -> int:
        """Moments are fitted in one."""
        return 1 if unit.kind == "detector" else self.flows.steps(unit, counts)

    def macs(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:
        """A detector passes every training image through the flow once."""
        if unit.kind != "detector":
            return self.flows.macs(unit, shape, counts)
        return macs(architecture(self.flows.config, shape.channels, shape.side)) * counts.images

    def memory(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:
        """A detector holds the flow, for its passes forward, and the latents of all training images."""
        if unit.kind != "detector":
            return self.flows.memory(unit, shape, counts)
        net = architecture(self.flows.config, shape.channels, shape.side)
        return 4 * (parameters(net) + counts.images * shape.values)

    def stage(
        self, unit: Unit, view: "TargetView", artifacts: "Mapping[str, Tensors]", parallel: "Parallel"
    ) -> "FlowLearner":
        """The flow. Raises UserError, before it is trained, where no group of a size could be scored with it."""
        if message := unscorable(self.config, view.shape):
            raise UserError(message, where="split")
        return self.flows.stage(unit, view, artifacts, parallel)

    def detector(
        self,
        unit: Unit,
        view: "TargetView",
        artifacts: "Mapping[str, Tensors]",
        parallel: "Parallel",  # noqa: ARG002 - each worker fits all
    ) -> "MomentsLearner":
        from workloads.klods.detector import MomentsLearner

        return MomentsLearner(self.config, view, artifacts[str(self.needs(unit)[0])])

    def code(self, unit: Unit) -> tuple[str, ...]:
        """The flow is trained by `Flows`, from its own config: an edit of how groups are scored retrains none."""
        return (__name__,) if unit.kind == "detector" else self.flows.code(unit)

    def scored_with(self, unit: Unit) -> list[Unit]:
        return self.needs(unit)

    def scorer(
        self,
        unit: Unit,
        shape: ImageShape,  # noqa: ARG002 - the flow says it
        device: "torch.device",
        artifacts: "Mapping[str, Tensors]",
    ) -> "GroupScorer":
        from workloads.klods.detector import GroupScorer

        return GroupScorer(self.config, device, artifacts[str(self.needs(unit)[0])])

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
