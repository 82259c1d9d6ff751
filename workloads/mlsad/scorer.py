"""Scoring with one trained detector D_k: window maps, and their mean (inner mean of Eq. 4)."""

import math
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from workloads.data.conform import as_channels
from workloads.data.view import TargetView
from workloads.learner import Fitted, Scores, State
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.mrf import to_signed
from workloads.mlsad.networks.detector import PatchDetector
from workloads.mlsad.networks.layers import coordinates
from workloads.mlsad.pooling import pooled
from workloads.units import ImageShape, Unit

BATCH = 64
CELLS = 2**16
"""Window scores of one forward pass: at 512 channels 128 MiB a layer. Larger images are scored in tiles."""


def scorers(config: MLSADConfig, view: TargetView, fitted: Fitted) -> dict[int, "LevelScorer"]:
    """Level -> trained scorer of a target. Raises KeyError without the state of a level."""
    by_level = {}
    for level in config.levels:
        by_level[level] = LevelScorer(config, level, view.shape, view.device)
        by_level[level].load_state(fitted.states[str(Unit("detector", view.target, f"level_{level}"))])
    return by_level


def at_pixels(scores: Tensor, level: int, side: int) -> Tensor:
    """One level's window scores (N, M, M), M = S-k+1, at the pixels: (N, S, S).

    Cell s belongs at its window's centre, s + (k-1)/2 on the pixel grid, between two pixels where k is even. Bilinear
    between centres; pixels outside the outermost centres take the nearest one's score.
    """
    last = scores.shape[-1] - 1
    at = (torch.arange(side, device=scores.device) - (level - 1) / 2).clamp(0, last)
    low = at.floor().long()
    high, share = (low + 1).clamp_max(last), at - low
    rows = torch.lerp(scores[:, low], scores[:, high], share[:, None])
    return torch.lerp(rows[..., low], rows[..., high], share)


class LevelScorer:
    """A detector with the true coordinates of its images' side. No noise, no dropout, no image affects another."""

    def __init__(self, config: MLSADConfig, level: int, shape: ImageShape, device: torch.device) -> None:
        self.device, self.level, self.pooling, self.side = device, level, config.pooling, shape.side
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

    @torch.inference_mode()
    def window_scores(self, images: Tensor, place: Tensor | None = None) -> Tensor:
        """Window scores in [0, 1], float32 (N, M, M), from uint8 (N, C, S, S); `place`: other coordinates than C.

        Images too large for one pass are cut into tiles that overlap by k - 1 pixels and keep their coordinates on the
        whole image. Nothing is padded, so the scores are those of the whole but for the order of float additions.
        """
        place = (self.place if place is None else place).expand(len(images), -1, -1, -1)
        side = place.shape[-1]
        tile = math.ceil(side / math.ceil(side / math.isqrt(CELLS)))
        batch = max(1, CELLS // tile**2)
        maps = torch.empty((len(images), side, side), device=images.device)
        for first, top, left in product(range(0, len(images), batch), *(range(0, side, tile),) * 2):
            part = slice(first, first + batch)
            rows, columns = slice(top, top + tile), slice(left, left + tile)
            window = images[part, :, top : top + tile + self.level - 1, left : left + tile + self.level - 1]
            x = to_signed(as_channels(window, self.channels))
            maps[part, rows, columns] = self.windows(x, place[part, :, rows, columns])
        return maps

    def maps(self, images: Tensor) -> Tensor:
        """This level's window scores at the pixels, float32 (N, S, S) in [0, 1], from uint8 (N, C, S, S)."""
        parts = [
            at_pixels(self.window_scores(part), self.level, self.side) for part in images.to(self.device).split(BATCH)
        ]
        return torch.cat(parts) if parts else torch.zeros((0, self.side, self.side), device=self.device)

    def score(self, images: Tensor) -> Scores:
        """This level's `image_scores` under its name."""
        return {f"level_{self.level}": self.image_scores(images)}

    def module(self) -> nn.Module:
        return LevelProgram(self)

    def image_scores(self, images: Tensor) -> np.ndarray:
        """Mean (or otherwise pooled) window score of each image, (N,) float32 in [0, 1], from uint8 (N, C, S, S)."""
        parts = [pooled(self.window_scores(part), self.pooling) for part in images.to(self.device).split(BATCH)]
        return torch.cat(parts).cpu().numpy() if parts else np.zeros(0, np.float32)


class LevelProgram(nn.Module):
    """A level's image scores as one program, without tiles: uint8 (N, C, S, S) -> float32 (N,)."""

    place: Tensor

    def __init__(self, scorer: LevelScorer) -> None:
        super().__init__()
        self.net, self.channels, self.pooling = scorer.net, scorer.channels, scorer.pooling
        self.register_buffer("place", scorer.place)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net.head(self.net.trunk(to_signed(as_channels(images, self.channels))), self.place)
        return pooled(logits.sigmoid().squeeze(1), self.pooling)
