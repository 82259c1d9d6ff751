"""Statistics network T(x, z) of the mutual-information bound (Eq. 1); layers guessed, the paper has no table."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from workloads.mlsad.architecture import encoder_channels, scaled
from workloads.mlsad.networks.layers import SLOPE


class StatisticsNetwork(nn.Module):
    """Image (N, C, S, S) and noise of that shape -> (N,). Features of every scale are pooled and joined (multi-scale
    pooling), so that variety counts at every patch size. No batch norm: it would mix joint and marginal pairs."""

    def __init__(self, side: int, channels: int, width: float) -> None:
        super().__init__()
        down = [min(2 * c, 256) for c in encoder_channels(side)]

        def stage(inner: int, out: int, kernel: int, **more: Any) -> nn.Sequential:
            conv = nn.Conv2d(inner, out, kernel, **more)
            return nn.Sequential(conv, nn.LeakyReLU(SLOPE), nn.Conv2d(out, out, 1), nn.LeakyReLU(SLOPE))

        sizes = [scaled(c, width) for c in (64, *down, 512)]
        self.stages = nn.ModuleList([stage(2 * channels, sizes[0], 3, padding=1)])
        for inner, out in pairwise(sizes[:-1]):
            self.stages.append(stage(inner, out, 4, stride=2, padding=1))
        self.stages.append(nn.Sequential(nn.Conv2d(sizes[-2], sizes[-1], 4), nn.LeakyReLU(SLOPE)))
        self.out = nn.Linear(sum(sizes), 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        h, pooled = torch.cat([x, z], 1), []
        for stage in self.stages:
            h = stage(h)
            pooled.append(h.mean((2, 3)))
        out: Tensor = self.out(torch.cat(pooled, 1))
        return out.squeeze(1)
