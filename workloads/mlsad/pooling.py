"""How a level's window scores become one number (inner operation of Eq. 4, and the alternatives to its mean)."""

import torch
from torch import Tensor

from workloads.mlsad.config import Pooling

TINY = torch.finfo(torch.float32).tiny


def pooled(maps: Tensor, how: Pooling) -> Tensor:
    """(N,) float32 in [0, 1] from window scores p in [0, 1], (N, M, M).

    ``mean`` is published. ``max`` is the oddest window. ``softmax`` weighs every window by exp(p), ``linear_softmax``
    by p itself (sum p^2 / sum p; 0 where all p are 0), so that few odd windows among many weigh more (Wang, Li and
    Metze, arXiv 1810.09050).
    """
    p = maps.to(torch.promote_types(maps.dtype, torch.float32))  # half precision would tie ranks
    if how == "mean":
        return p.mean((1, 2))
    if how == "max":
        return p.amax((1, 2))
    weights = p.exp() if how == "softmax" else p
    return (p * weights).sum((1, 2)) / weights.sum((1, 2)).clamp_min(TINY)
