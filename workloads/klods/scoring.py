"""All scores of groups, fitted on training latents: moments and sorted projections, nothing is trained.

The part names, each a score per group, higher = more anomalous:

klods_prior   Gaussian KL of the group's vectors to N(0, I), see `combined`: the paper-like one
klods_train   the same to the Gaussian of the training vectors: for flows whose own latents are not quite N(0, I)
god_1ks, god_2ks   see `god`
typicality, likelihood   see `typicality`; of log p where it is given, else of the latents under the prior alone
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.klods.config import KlodsConfig, Weighting, levels
from workloads.klods.groups import Members
from workloads.klods.latents import Latents, check_alike, checked, prior_log_density
from workloads.klods.splits import Vectors, check_enough
from workloads.klods.splitting import group_vectors, vectors
from workloads.klods.statistics import god, typicality
from workloads.klods.statistics.gaussian import Whitening, kl_to_standard, regularised

PRIOR, TRAIN = "klods_prior", "klods_train"
PARTS = (PRIOR, TRAIN, "god_1ks", "god_2ks", "typicality", "likelihood")
BLOCK = 2**21
"""Latent values of the groups held at once, in float64: 16 MiB, and about three times that while they are worked on."""


def group_kl(
    level: Tensor, members: Tensor, config: KlodsConfig, whitening: Whitening | None = None, block: int = BLOCK
) -> Tensor:
    """(G,) float64 KL in nats of one level's latents (N, C, H, W) for groups `members` (G, size).

    +inf where a group's covariance is singular although n > m (equal images, latents that never vary). Raises
    UserError for n <= m without a regulariser, before any work.
    """
    size = members.shape[1]
    check = group_vectors(level, config.split, size)
    check_enough(check.n, check.m, config.regulariser)
    pieces = []
    for rows in members.split(max(1, block // (check.n * check.m))):
        group = vectors(level[rows].double(), config.split).flatten(1, 2)
        if whitening is not None:
            group = whitening(group)
        pieces.append(kl_to_standard(*regularised(group, config.regulariser, config.shrinkage)))
    return torch.cat(pieces)


def combined(kl: Sequence[Tensor], counts: Sequence[Vectors], weighting: Weighting) -> Tensor:
    """(G,) nats from each level's KL of one vector, (G,).

    vectors: sum of k KL, the KL of an image's latents if its vectors were independent; a level counts as its size.
    equal: sum of KL.
    """
    weights = [count.k if weighting == "vectors" else 1 for count in counts]
    return torch.stack([weight * values for weight, values in zip(weights, kl, strict=True)]).sum(0)


@dataclass(frozen=True)
class Fitted:
    """What scoring needs to know of the training latents."""

    config: KlodsConfig
    shapes: Latents  # one training image, for its shapes
    used: tuple[int, ...]  # indices of the levels that the KL uses
    whitenings: tuple[Whitening, ...]  # of those levels
    directions: Sequence[Tensor]
    reference: Tensor  # see god.sorted_reference
    entropy: float

    def check(self, sizes: Sequence[int]) -> None:
        """Raises UserError for the first group size that the split and the regulariser cannot score."""
        for index in self.used:
            for size in sizes:
                group = group_vectors(self.shapes[index], self.config.split, size)
                check_enough(group.n, group.m, self.config.regulariser)

    def prepare(self, latents: Latents, log_prob: Tensor | None = None, where: str = "latents") -> "Prepared":
        """Latents of the images that groups are made of, projected once for all group sizes. Raises UserError."""
        checked(latents, where)
        check_alike(latents, self.shapes, where)
        density = prior_log_density(latents) if log_prob is None else checked_log_prob(log_prob, latents, where)
        return Prepared(self, latents, density, god.project(latents, list(self.directions)))


@dataclass(frozen=True)
class Prepared:
    """Images ready to be grouped."""

    fitted: Fitted
    latents: Latents
    log_prob: Tensor
    projected: Tensor

    def kl(self, members: Tensor, to: str) -> Tensor:
        """(G,) KL over the levels in use, to the prior or to the training Gaussian."""
        fitted = self.fitted
        whitenings = fitted.whitenings if to == TRAIN else (None,) * len(fitted.used)
        pairs = [(self.latents[index], whitening) for index, whitening in zip(fitted.used, whitenings, strict=True)]
        counts = [group_vectors(level, fitted.config.split, members.shape[1]) for level, _ in pairs]
        by_level = [group_kl(level, members, fitted.config, whitening) for level, whitening in pairs]
        return combined(by_level, counts, fitted.config.weighting)

    def scores(self, members: Members) -> Iterator[tuple[str, np.ndarray]]:
        """(part, (G,) float64) for every part, of groups (G, size) of rows."""
        rows = torch.from_numpy(members).to(self.projected.device)
        fitted = self.fitted
        scores = {
            PRIOR: self.kl(rows, PRIOR),
            TRAIN: self.kl(rows, TRAIN),
            "god_1ks": god.one_sample(self.projected, rows),
            "god_2ks": god.two_sample(self.projected, rows, fitted.reference),
            "typicality": typicality.typicality(self.log_prob, rows, fitted.entropy),
            "likelihood": typicality.mean_nll(self.log_prob, rows),
        }
        for part in PARTS:
            yield part, scores[part].cpu().numpy()


def fit(latents: Latents, config: KlodsConfig, log_prob: Tensor | None = None, where: str = "train") -> Fitted:
    """From training latents, one (N, C, H, W) a level, and log p (N,) in nats if there is one. Raises UserError."""
    checked(latents, where)
    used = levels(config, len(latents))
    whitenings = tuple(Whitening.fit(blocks(latents[index], config.split)) for index in used)
    onto = god.directions(latents, config.directions, config.group_seed)
    density = prior_log_density(latents) if log_prob is None else checked_log_prob(log_prob, latents, where)
    return Fitted(
        config=config,
        shapes=tuple(level[:1] for level in latents),
        used=used,
        whitenings=whitenings,
        directions=onto,
        reference=god.sorted_reference(god.project(latents, onto)),
        entropy=typicality.entropy_of(density),
    )


def blocks(level: Tensor, split: str) -> Iterator[Tensor]:
    """The vectors (n, m) of latents (N, C, H, W), some images at a time."""
    for images in level.split(max(1, BLOCK // level[0].numel())):
        yield vectors(images, split).flatten(0, 1)


def checked_log_prob(log_prob: Tensor, latents: Latents, where: str) -> Tensor:
    if log_prob.shape != (len(latents[0]),) or not torch.isfinite(log_prob).all():
        raise UserError(
            f"log p is {tuple(log_prob.shape)}, finite for {int(torch.isfinite(log_prob).sum())}",
            where=where,
            fix=f"({len(latents[0])},) finite numbers in nats, one an image",
        )
    return log_prob
