"""Scoring images with a trained flow, and with the general flow that it is held against."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from workloads.data.conform import as_channels, conform
from workloads.data.view import TargetView
from workloads.flows.architecture import Architecture
from workloads.flows.artifact import unpacked
from workloads.flows.bits import bin_centres
from workloads.flows.config import FlowConfig
from workloads.flows.networks.flow import Flow
from workloads.flows.scores.complexity import code_length
from workloads.flows.scores.densities import Densities, density_scores, failures, in_float32, score_named
from workloads.learner import Fitted, Scores, State
from workloads.units import GENERAL, ImageShape, Unit

BATCH = 128
"""Images of one forward pass, 64 MiB a layer at the published width."""


@contextmanager
def exact() -> Iterator[None]:
    """float32 as it is meant to be: TF32 keeps 10 bits of a product and would move log p by nats."""
    matmul = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul


@torch.inference_mode()
def densities(flow: Flow, images: Tensor) -> Densities:
    """Of uint8 images (N, C, S, S) at the centres of their bins, so without noise; no image affects another."""
    if not len(images):
        return Densities(*torch.zeros(3, 0, len(flow.shapes), dtype=torch.float64))
    training = flow.training
    flow.eval()
    with exact():
        parts = [Densities.of(flow(bin_centres(part))) for part in images.split(BATCH)]
    flow.train(training)
    rows = ((d.contributions, d.latent, d.marginals) for d in parts)
    return Densities(*(torch.cat(column) for column in zip(*rows, strict=True)))


class FlowScorer:
    """A flow and, where its config has one, the general flow. Their artifacts say what networks they are."""

    net: Flow

    def __init__(self, config: FlowConfig, device: torch.device, general: Mapping[str, Any] | None = None) -> None:
        self.config, self.device = config, device
        self.general = unpacked(general, device) if general is not None else None
        self.failed = 0  # images without a finite likelihood so far

    def load_state(self, state: State) -> None:
        """Build the flow from a learner's state."""
        self.architecture = Architecture(**state["architecture"])
        self.net = unpacked(state, self.device)

    def score(self, images: Tensor) -> Scores:
        """Every score of `workloads.flows.scores.densities`, (N,) float32 each, from uint8 (N, 1 or 3, H, W).

        Images without a finite likelihood are the most anomalous; a warning counts them. Raises UserError for what is
        no image.
        """
        images = conform(images.to(self.device), self.architecture.shape)
        target = densities(self.net, images)
        general = densities(self.general, images) if self.general is not None else None
        if failed := failures(target, general):
            self.failed += failed
            message = f"{failed} of {len(images)} images have no finite likelihood: taken as the most anomalous"
            warnings.warn(message, stacklevel=2)
        lengths = code_length(images, self.config.complexity_codec)
        return density_scores(target, general, lengths, self.architecture.shape.values)

    def module(self) -> nn.Module:
        """The one score of the config as a module, which no file length is part of."""
        for flow in (self.net, self.general):
            if flow is not None:
                flow.require_initialised()  # once, not in the exported program
        return FlowProgram(self.net, self.general, self.config.score, self.architecture.shape)


class FlowProgram(nn.Module):
    """A score of `workloads.flows.scores.densities` as one program: uint8 (N, 1 or 3, H, W) -> float32 (N,)."""

    def __init__(self, net: Flow, general: Flow | None, score: str, shape: ImageShape) -> None:
        super().__init__()
        self.net, self.general, self.name, self.shape = net, general, score, shape

    def forward(self, images: Tensor) -> Tensor:
        x = bin_centres(as_channels(images, self.shape.channels))
        target = Densities.of(self.net(x))
        general = None if self.general is None else Densities.of(self.general(x))
        return in_float32(score_named(self.name, target, general, self.shape.values))


def trained_scorer(config: FlowConfig, view: TargetView, fitted: Fitted) -> FlowScorer:
    """The scorer of a target after training. Raises KeyError without its state."""
    general = fitted.artifacts.get(str(Unit("flow", GENERAL, "flow")))
    scorer = FlowScorer(config, view.device, general)
    scorer.load_state(fitted.states[str(Unit("detector", view.target, "flow"))])
    return scorer
