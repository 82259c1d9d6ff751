"""Scoring with one trained detector D_k: window maps, and their mean (inner mean of Eq. 4)."""

import numpy as np
import torch
from torch import Tensor

from workloads.channels import as_channels
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.detector import PatchDetector
from workloads.mlsad.layers import coordinates
from workloads.mlsad.mrf import to_signed
from workloads.units import ImageShape
from workloads.workload import State

BATCH = 64


class LevelScorer:
    """A detector with the true coordinates of its images' side. No noise, no dropout, no image affects another."""

    def __init__(self, config: MLSADConfig, level: int, shape: ImageShape, device: torch.device) -> None:
        self.device = device
        self.channels = 3 if config.grey_as_rgb else shape.channels
        self.net = PatchDetector(level, self.channels, config.width, config.blocks).to(device)
        self.net.to(memory_format=torch.channels_last)
        self.place = coordinates(shape.side, level, device)

    def load_state(self, state: State) -> None:
        """Take the weights from a learner's state."""
        self.net.load_state_dict(state["net"])

    def windows(self, x: Tensor, place: Tensor | None = None) -> Tensor:
        """Window scores in [0, 1], (N, M, M), from (N, C, S, S) in [-1, 1] in the net's channels; differentiable."""
        logits: Tensor = self.net(x, self.place if place is None else place)
        return logits.sigmoid().squeeze(1)

    def pooled(self, windows: Tensor) -> Tensor:
        """One score an image, (N,), from its window scores (N, M, M); differentiable."""
        return windows.mean((1, 2))

    @torch.inference_mode()
    def maps(self, images: Tensor, place: Tensor | None = None) -> Tensor:
        """Window scores in [0, 1], float32 (N, M, M), from uint8 (N, C, S, S)."""
        return self.windows(to_signed(as_channels(images, self.channels)), place)

    def score(self, images: Tensor) -> np.ndarray:
        """Mean window score of each image, (N,) float32 in [0, 1], from uint8 (N, C, S, S)."""
        parts = [self.pooled(self.maps(part)) for part in images.to(self.device).split(BATCH)]
        return torch.cat(parts).cpu().numpy() if parts else np.zeros(0, np.float32)
