"""Pieces that the patch networks share: coordinates, residual blocks, minibatch deviation."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.mlsad.architecture import map_side

SLOPE = 0.2  # of every leaky ReLU; a guess, the paper gives none


def coordinates(side: int, level: int, device: torch.device) -> Tensor:
    """True coordinate map C, (1, 2, M, M), rows then columns: each window's centre, linear in [-1, 1] on the image."""
    centres = (torch.arange(map_side(side, level), device=device) + (level - 1) / 2) / max(side - 1, 1) * 2 - 1
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([rows, columns])[None]


def at_once(count: int, side: int) -> int:
    """How many images of a side to take where `count` of 32 x 32 are right: as many pixels, at least one image."""
    return max(1, min(count, count * 32**2 // side**2))


def minibatch_stddev(x: Tensor, mode: Literal["global", "local", "off"], features: int = 4, group: int = 4) -> Tensor:
    """Append `features` channels with the standard deviation over groups of consecutive images.

    `global` averages it over the whole map, as published (StyleGAN2): then one cell depends on every pixel.
    `local` keeps it per position, so the receptive field stays k. `off` appends zeros (the layer sizes stay).
    """
    n, c, h, w = x.shape
    if mode == "off":
        return torch.cat([x, x.new_zeros(n, features, h, w)], 1)
    group = min(group, n)
    if n % group:
        raise ValueError(f"a batch of {n} is not a multiple of the minibatch-deviation group of {group}")
    y = x.float().view(n // group, group, features, c // features, h, w)
    y = (y - y.mean(1, keepdim=True)).square().mean(1)  # several times faster than torch.var on a CPU
    y = (y + 1e-8).sqrt().mean(2)  # (groups, features, h, w)
    if mode == "global":
        y = y.mean((2, 3), keepdim=True).expand(-1, -1, h, w)
    return torch.cat([x, y.to(x.dtype).repeat_interleave(group, 0)], 1)


class Residual1x1(nn.Module):
    """x + conv1x1(LReLU(conv1x1(LReLU(x)))), optionally a bottleneck, optionally with dropout between.

    `mask` is a 0/1 keep mask already divided by the keep probability, drawn by the caller so that it is reproducible.
    """

    def __init__(self, channels: int, hidden: int | None = None) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, hidden or channels, 1)
        self.leave = nn.Conv2d(hidden or channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = F.leaky_relu(self.enter(F.leaky_relu(x, SLOPE)), SLOPE)
        change: Tensor = self.leave(y if mask is None else y * mask)
        return x + change
