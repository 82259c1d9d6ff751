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

A class-conditional flow's density is the mean over classes, and a scale's part that of the posterior over the whole
image (`ConditionalFlow.forward`), so that the parts add up. Beside them stand the authors' ones, m_i = F_i + A_i + the
log of the mean over classes of the densities of scale i's latents, which add up to no density:

=========================  ============================================================================================
scale_1_marginal, ...      -m_i, nats; the last scale's is `final_scale_marginal`
likelihood_marginal        8 - (m_1 + ... + m_S) / (n ln 2), as the authors' last evaluation sums it
ratio_marginal             log p_general - (m_1 + ... + m_S), nats
=========================  ============================================================================================
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
    """c_i, N_i and m_i of N images, (N, S) nats, float64 on the CPU; NaN where an image has no finite density.

    marginals: m_i of a class-conditional flow, (N, 0) of others.
    """

    contributions: Tensor
    latent: Tensor
    marginals: Tensor

    @classmethod
    def of(cls, terms: Terms) -> "Densities":
        """Summed in float64: log p of an image is some 10^4 nats, of which float32 keeps a thousandth."""
        contributions = terms.flow.double() + terms.tail.double() + terms.latent.double()
        failed = ~contributions.isfinite().all(1, keepdim=True)
        marginals = contributions[:, :0]
        if terms.marginal is not None:
            marginals = terms.flow.double() + terms.tail.double() + terms.marginal.double()
        whole = (contributions, terms.latent.double(), marginals)
        return cls(*(part.masked_fill(failed, torch.nan).cpu() for part in whole))

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
    scores |= marginal_scores(target, general, values)
    if general is not None:
        scores |= {name: score_named(name, target, general, values) for name in WITH_GENERAL}
    return {name: in_float32(values).numpy() for name, values in scores.items()}


def marginal_scores(target: Densities, general: Densities | None, values: int) -> dict[str, Tensor]:
    """The authors' scores of a class-conditional flow, (N,) float64; none of others."""
    if not target.marginals.shape[1]:
        return {}
    *early, last = (-target.marginals).unbind(1)
    total = target.marginals.sum(1)
    scores = {f"scale_{i + 1}_marginal": part for i, part in enumerate(early)} | {"final_scale_marginal": last}
    scores["likelihood_marginal"] = bits_per_dim(total, values)
    return scores if general is None else scores | {"ratio_marginal": general.log_prob - total}


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
