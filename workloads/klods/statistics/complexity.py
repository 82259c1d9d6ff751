"""Input complexity of groups, after Serra et al. (ICLR 2020): bits/dim under the flow less those of a general codec.

Theirs is a score of single images (`workloads.flows.scores.complexity`); a group's is the mean over its images (guess).
It needs the images, so latents from array files do not have it.
"""

from torch import Tensor

from workloads.flows.bits import bits_per_dim


def complexity(log_prob: Tensor, lengths: Tensor, members: Tensor, values: int) -> Tensor:
    """(G,) float64 mean of likelihood - L in bits/dim, of log p (N,) in nats, L (N,) and members (G, size).

    values: of an image, C S S.
    """
    return (bits_per_dim(log_prob, values) - lengths)[members].mean(1)


def complexity_only(lengths: Tensor, members: Tensor) -> Tensor:
    """(G,) float64 mean of L in bits/dim: published AUROCs take a longer file for the more anomalous image."""
    return lengths[members].mean(1)
