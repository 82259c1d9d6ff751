"""Samples that share a class's structure only up to a level: level 0 (noise) and level 1 (independent pixels).

Levels 2, 4 and 8 come from trained generators. All fakes lie on the 8-bit grid of real images, so that no detector can
tell them by off-grid values.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from workloads.training.distributed import Draws


def to_signed(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return images.float().div(127.5).sub(1)


def to_bytes(images: Tensor) -> Tensor:
    """Floats in [-1, 1] -> uint8, rounded and clamped (never wrapped)."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def level_0(draws: Draws, shape: Sequence[int]) -> Tensor:
    """uint8 images of the global `shape` (N, C, S, S), every value independent and uniform; this worker's rows."""
    return draws.mine(draws.integers(256, shape).to(torch.uint8))


def level_1(draws: Draws, pool: Tensor, count: int) -> Tensor:
    """`count` images whose every pixel comes from an image of `pool` (N, C, S, S) chosen for that pixel alone.

    Channels of a pixel stay together. Where `count` is the size of the pool the choice is a permutation per pixel, as
    published for a batch; else it is drawn with replacement. This worker's rows of `count` are returned.
    """
    n, c, h, w = pool.shape
    if count == n:
        order = torch.rand((n, 1, h, w), generator=draws.generator, device=pool.device).argsort(0)
    else:
        order = draws.integers(n, (count, 1, h, w))
    return pool.gather(0, draws.mine(order).expand(-1, c, -1, -1))
