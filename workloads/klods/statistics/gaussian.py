"""The Gaussian of a set of vectors, and its KL divergence to N(0, I); float64, thousands of groups at a time.

For vectors of length m with mean mu and covariance S (maximum likelihood, divided by n):

    KL = (tr S + |mu|^2 - m - log det S) / 2   nats, 0 or above, higher = further from the prior.

KL to another Gaussian N(mu0, S0) is the KL to N(0, I) of the vectors whitened by it, exactly: KL does not change under
an invertible affine map. So `Whitening` is all that the second score needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.klods.splits import Regulariser, check_enough


def moments(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (..., m) and covariance (..., m, m) of float64 vectors (..., n, m), both divided by n."""
    mean = vectors.mean(-2)
    centred = vectors - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / vectors.shape[-2]


def regularised(vectors: Tensor, regulariser: Regulariser, amount: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of (..., n, m), the covariance S pulled towards a multiple of I.

    none: S as it is, n > m checked. shrinkage: (1 - amount) S + amount I, the prior's covariance. ledoit_wolf:
    (1 - s) S + s (tr S / m) I with s estimated group by group (Ledoit and Wolf, J. Multivariate Analysis 88, 2004).
    A regularised score is no longer the KL of the vectors' Gaussian, and the null law does not hold for it.
    """
    n, m = vectors.shape[-2:]
    check_enough(n, m, regulariser)
    mean, cov = moments(vectors)
    if regulariser == "none":
        return mean, cov
    eye = torch.eye(m, dtype=cov.dtype, device=cov.device)
    if regulariser == "shrinkage":
        return mean, (1 - amount) * cov + amount * eye
    weight, scale = ledoit_wolf(vectors - mean.unsqueeze(-2), cov)
    return mean, (1 - weight)[..., None, None] * cov + (weight * scale)[..., None, None] * eye


def ledoit_wolf(centred: Tensor, cov: Tensor) -> tuple[Tensor, Tensor]:
    """Ledoit and Wolf's weight s in [0, 1] and scale tr S / m, each (...), of centred vectors (..., n, m)."""
    n, m = centred.shape[-2:]
    scale = cov.diagonal(dim1=-2, dim2=-1).mean(-1)
    away = cov.square().sum((-2, -1)) / m - scale.square()  # squared distance of S from the target, a dimension
    fourth = centred.square().sum(-1).square().mean(-1)
    noise = (fourth - cov.square().sum((-2, -1))) / (m * n)
    ratio = noise.minimum(away) / away.where(away > 0, torch.ones_like(away))
    return ratio.clamp(0, 1).where(away > 0, torch.zeros_like(ratio)), scale


def kl_to_standard(mean: Tensor, cov: Tensor) -> Tensor:
    """KL(N(mean, cov) || N(0, I)) in nats, (...), from (..., m) and (..., m, m); +inf where cov is singular."""
    factor, failed = torch.linalg.cholesky_ex(cov)
    diagonal = factor.diagonal(dim1=-2, dim2=-1).where((failed == 0).unsqueeze(-1), torch.zeros_like(mean))
    trace = cov.diagonal(dim1=-2, dim2=-1).sum(-1)
    return 0.5 * (trace + mean.square().sum(-1) - mean.shape[-1]) - diagonal.log().sum(-1)


@dataclass(frozen=True)
class Whitening:
    """The affine map from N(mean, cov) to N(0, I): mean (m,), factor (m, m) lower-triangular, cov = factor factor^T."""

    mean: Tensor
    factor: Tensor

    @classmethod
    def fit(cls, blocks: Iterable[Tensor]) -> "Whitening":
        """From vectors (n_i, m) in pieces, each piece taken to float64 and held once; two passes would need them twice.

        Raises UserError where they have no covariance of full rank: too few, or a dimension that never varies.
        """
        count, mean, scatter = 0, torch.zeros(0), torch.zeros(0)
        for block in blocks:
            mean_b, cov_b = moments(block.double())
            n = len(block)
            if not count:
                mean, scatter, count = mean_b, cov_b * n, n
                continue
            gap = mean_b - mean
            scatter = scatter + cov_b * n + torch.outer(gap, gap) * (count * n / (count + n))
            mean, count = mean + gap * (n / (count + n)), count + n
        m = mean.shape[-1]
        if count <= m:
            raise UserError(f"{count} training vectors of length {m}", fix="more training latents or shorter vectors")
        factor, failed = torch.linalg.cholesky_ex(scatter / count)
        if failed:
            raise UserError(
                f"the covariance of {count} training vectors of length {m} is singular",
                fix="leave out latents that never vary, or score against the prior alone",
            )
        return cls(mean, factor)

    def __call__(self, vectors: Tensor) -> Tensor:
        """(..., n, m) -> (..., n, m), whitened, float64."""
        centred = vectors - self.mean
        rows = centred.reshape(-1, centred.shape[-1])
        solved: Tensor = torch.linalg.solve_triangular(self.factor, rows.mT, upper=False)
        return solved.mT.reshape(centred.shape)
