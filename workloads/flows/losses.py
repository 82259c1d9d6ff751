"""What flows learn from, a value an image; the learner averages them. All in nats: weights and temperatures are, too.

Source: Schirrmeister et al., NeurIPS 2020, and the authors' recipes. The constant n ln 256 between a density over
pixels in [-.5, .5) and a probability of bytes moves no gradient; it is left out of losses but for the margin, where it
cancels.
"""

import math

from torch import Tensor
from torch.nn import functional as F


def outlier_ratio(log_in: Tensor, log_general: Tensor, weight: float, temperature: float) -> Tensor:
    """w softplus(r / T), r = log p_in - log p_general of auxiliary images: cross-entropy against "not normal".

    log_in, log_general: (B,) nats, no gradient through the latter. Returns (B,).
    """
    return weight * F.softplus((log_in - log_general.detach()) / temperature)


def outlier_margin(log_in: Tensor, log_out: Tensor, margin: float) -> Tensor:
    """relu(margin + NLL_in - NLL_out), normal and auxiliary images paired by position; the normal ones are a constant.

    log_in of normal, log_out of auxiliary images, both (B,) nats under the flow in training. The published margin is a
    nat a dimension. Returns (B,). Source: after Hendrycks et al., ICLR 2019, as the authors used it.
    """
    return F.relu(margin - log_in.detach() + log_out)


def supervised(log_classes: Tensor, log_general: Tensor, labels: Tensor, weight: float, temperature: float) -> Tensor:
    """-log p(x|y) + w / C sum over y' != y of softplus((log p(x|y') - log p_general(x)) / T).

    log_classes: (B, C) nats, log p(x|y) of every class; log_general: (B,), a constant; labels: (B,) int64.
    Returns (B,). The sum is divided by C, its zeroed true entry included, as published.
    """
    labelled = F.one_hot(labels, log_classes.shape[1]).bool()
    others = F.softplus((log_classes - log_general.detach()[:, None]) / temperature).masked_fill(labelled, 0)
    true = log_classes.gather(1, labels[:, None]).squeeze(1)
    return weight * others.mean(1) - true


def mixture(log_classes: Tensor) -> Tensor:
    """log p(x) (B,) of equally likely classes, from log p(x|y) (B, C), in nats."""
    return log_classes.logsumexp(1) - math.log(log_classes.shape[1])
