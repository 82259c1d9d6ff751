"""From log-densities, scale by scale, to scores.

log p(x) = c_1 + ... + c_S, c_i = F_i + A_i + N_i: log-determinants of scale i's steps and of its tail, and the prior
of its latents. All in nats, float64; n is the number of pixel values of an image.

===================  ==================================================================================================
likelihood           bits/dim under the flow: 8 - log p / (n ln 2)
general_likelihood   the same under the general flow
ratio                log p_general - log p, nats: the published score of the hierarchy of distributions, its sign turned
final_scale          -c_S, nats: that of the hierarchy of features
final_scale_ratio    c_S of the general flow - c_S, nats (guess: not in the authors' evaluation)
scale_1, ...         -c_i, nats, of the scales before the last
latent_1, ...        -N_i, nats
complexity           likelihood - L, bits/dim, L the length of the image's file (Serra et al., "S")
complexity_only      L, bits/dim: published AUROCs take a longer file for the more anomalous image
===================  ==================================================================================================

A class-conditional flow's density is the mean over classes; its scales and latents are as `workloads.flows` has them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.flows.bits import bits_per_dim
from workloads.flows.networks.terms import Terms
from workloads.learner import Scores
from workloads.scoring.table import FAILED

WITH_GENERAL = ("general_likelihood", "ratio", "final_scale_ratio")


@dataclass(frozen=True)
class Densities:
    """c_i and N_i of N images, (N, S) nats, float64 on the CPU; NaN where an image has no finite density."""

    contributions: Tensor
    latent: Tensor

    @classmethod
    def of(cls, terms: Terms) -> "Densities":
        """Summed in float64: log p of an image is some 10^4 nats, of which float32 keeps a thousandth."""
        contributions = terms.flow.double() + terms.tail.double() + terms.latent.double()
        failed = ~contributions.isfinite().all(1, keepdim=True)
        parts = (part.masked_fill(failed, torch.nan).cpu() for part in (contributions, terms.latent.double()))
        return cls(*parts)

    @property
    def log_prob(self) -> Tensor:
        return self.contributions.sum(1)


def density_scores(target: Densities, general: Densities | None, lengths: Tensor, values: int) -> Scores:
    """All scores above that there are, (N,) float32.

    lengths: L, (N,) bits/dim. values: n. An image that either flow gives no finite density is as anomalous as can be by
    every score of that flow, also by the ratio where only the general flow fails: a failure must not look normal.
    """
    scales = target.contributions.shape[1]
    scores = {name: score_named(name, target, general, values) for name in ("likelihood", "final_scale")}
    scores |= {f"scale_{i + 1}": -target.contributions[:, i] for i in range(scales - 1)}
    scores |= {f"latent_{i + 1}": -target.latent[:, i] for i in range(scales)}
    scores |= {"complexity": scores["likelihood"] - lengths, "complexity_only": lengths}
    if general is not None:
        scores |= {name: score_named(name, target, general, values) for name in WITH_GENERAL}
    return {name: in_float32(values).numpy() for name, values in scores.items()}


def score_named(name: str, target: Densities, general: Densities | None, values: int) -> Tensor:
    """One of the scores above that a config may name and that needs no file, (N,) float64. Raises ValueError for
    others."""
    if name == "likelihood":
        return bits_per_dim(target.log_prob, values)
    if name == "final_scale":
        return -target.contributions[:, -1]
    if general is None or name not in WITH_GENERAL:
        raise ValueError(f"no score {name!r} of these flows alone")
    if name == "general_likelihood":
        return bits_per_dim(general.log_prob, values)
    if name == "ratio":
        return general.log_prob - target.log_prob
    return general.contributions[:, -1] - target.contributions[:, -1]


def failures(target: Densities, general: Densities | None) -> int:
    """Images to which one of the flows gives no finite density."""
    failed = target.log_prob.isnan()
    return int((failed if general is None else failed | general.log_prob.isnan()).sum())


def in_float32(scores: Tensor) -> Tensor:
    """float32, in which a finite score stays finite; what is not becomes `FAILED`."""
    largest = torch.finfo(torch.float32).max
    return torch.where(scores.isfinite(), scores.clamp(-largest, largest), FAILED).float()
