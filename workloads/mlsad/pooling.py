"""How a level's window scores become one number (inner operation of Eq. 4, and the alternatives to its mean)."""

import torch
from torch import Tensor

from workloads.mlsad.config import Pooling
from workloads.smoothing import smoothed

SMOOTHING = 4.0  # standard deviation of the Gaussian in windows, which are a pixel apart; the patch memory's; guess
TINY = torch.finfo(torch.float32).tiny


def pooled(maps: Tensor, how: Pooling) -> Tensor:
    """(N,) float32 in [0, 1] from window scores p in [0, 1], (N, M, M).

    ``mean`` is published. ``max`` is the oddest window, ``peak`` the largest score once the map is smoothed, which a
    single odd window does not make. ``softmax`` weighs every window by exp(p), ``linear_softmax``
    by p itself (sum p^2 / sum p; 0 where all p are 0), so that few odd windows among many weigh more (Wang, Li and
    Metze, arXiv 1810.09050).
    """
    p = maps.to(torch.promote_types(maps.dtype, torch.float32))  # half precision would tie ranks
    if how == "mean":
        return p.mean((1, 2))
    if how == "max":
        return p.amax((1, 2))
    if how == "peak":
        return smoothed(p[:, None], SMOOTHING).amax((1, 2, 3))
    weights = p.exp() if how == "softmax" else p
    return (p * weights).sum((1, 2)) / weights.sum((1, 2)).clamp_min(TINY)
