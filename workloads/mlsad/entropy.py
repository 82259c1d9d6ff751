"""The diversity reward: mutual information between image and noise (Eq. 1), and its adaptive weight (Eq. 8)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def derangement(offset: Tensor, batch: int) -> Tensor:
    """Indices (batch,) that pair every image with another image's noise: a roll by `offset` in [1, batch)."""
    return (torch.arange(batch, device=offset.device) + offset) % batch


def mutual_information(joint: Tensor, marginal: Tensor, form: Literal["jsd", "dv"]) -> Tensor:
    """Lower-bound estimate in nats from T on joint pairs and on shuffled pairs, each (N,).

    ``dv``: E[T] - log E[exp T'] (Donsker-Varadhan), a bound of the mutual information; with N pairs it cannot certify
    more than log N. ``jsd``: E[-sp(-T)] - E[sp(T')], the Jensen-Shannon bound in [-2 log 2, 0], steadier.
    """
    joint, marginal = joint.float(), marginal.float()
    if form == "dv":
        return joint.mean() - (torch.logsumexp(marginal, 0) - math.log(len(marginal)))
    return -F.softplus(-joint).mean() - F.softplus(marginal).mean()


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over all tensors together, fp32."""
    parts = torch.stack([torch.linalg.vector_norm(t.float()) for t in tensors])
    whole: Tensor = torch.linalg.vector_norm(parts)
    return whole


def entropy_weight(local: Sequence[Tensor], entropy: Sequence[Tensor]) -> Tensor:
    """Eq. 8: min(|g_loc|, |g_ent|) / |g_ent|, in (0, 1]: the entropy gradient never outweighs the local one."""
    g_local, g_entropy = norm(local), norm(entropy)
    tiny = 1e-12
    return torch.where(g_entropy <= g_local, torch.ones_like(g_local), g_local / g_entropy.clamp_min(tiny))
