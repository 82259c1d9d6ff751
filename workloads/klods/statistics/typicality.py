"""Likelihood of groups, and the typicality test (Nalisnick et al., arXiv 1906.02994)."""

import torch
from torch import Tensor


def mean_nll(log_prob: Tensor, members: Tensor) -> Tensor:
    """(G,) float64 mean -log p in nats of each group, its plain likelihood, of (N,) and members (G, size)."""
    return -log_prob.double()[members].mean(1)


def typicality(log_prob: Tensor, members: Tensor, entropy: float) -> Tensor:
    """(G,) float64 |mean NLL of the group - entropy| in nats; a group of one is the single-image test.

    entropy: the mean NLL of training, or better of held-out in-distribution images.
    """
    return (mean_nll(log_prob, members) - entropy).abs()


def entropy_of(log_prob: Tensor) -> float:
    """Mean NLL in nats, summed in float64."""
    return float(-log_prob.to(torch.float64).mean())
