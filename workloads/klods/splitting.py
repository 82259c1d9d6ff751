"""Latents cut into many short vectors, so that a covariance can be estimated from few images, even from one.

Correlation in latents of anomalies is local, so a vector must hold neighbours; far or random positions carry almost no
signal, and short vectors beat long ones at equal size of the latent.
"""

import torch
from torch import Tensor

from workloads.klods.splits import Vectors, counted, parse


def group_vectors(level: Tensor, split: str, size: int = 1) -> Vectors:
    """Of latents (N, C, H, W) and groups of `size` images. Raises UserError as `splits.counted`."""
    channels, height, width = level.shape[-3:]
    return counted((channels, height, width), split, size)


def vectors(latents: Tensor, split: str) -> Tensor:
    """(..., C, H, W) -> (..., k, m) with k m = C H W, the same numbers in another order, dtype and device kept.

    Raises UserError where the split's size does not divide the latents'.
    """
    *batch, channels, height, width = latents.shape
    sizes, chosen = group_vectors(latents, split), parse(split)
    if chosen.kind != "patches":
        return torch.movedim(latents, -3, -1).reshape(*batch, sizes.k, sizes.m)
    p = chosen.size
    tiles = latents.reshape(*batch, channels, height // p, p, width // p, p)
    return tiles.transpose(-3, -2).reshape(*batch, sizes.k, sizes.m)
