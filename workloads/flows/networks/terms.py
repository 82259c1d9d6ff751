"""What one likelihood evaluation of a flow gives."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Terms:
    """The likelihood of B images, scale by scale (Schirrmeister et al., arXiv 2006.10848).

    flow, tail, latent: float32 (B, S) in nats, for S scales: the logdet of a scale's flow steps, the logdet of its tail
    actnorm, and the log density of its latents under the prior. latents: z_i after tail actnorm, (B, C_i, H_i, W_i).
    marginal: as latent, of a class-conditional flow whose classes are marginalised within each scale; None of others.
    """

    flow: Tensor
    tail: Tensor
    latent: Tensor
    latents: tuple[Tensor, ...]
    marginal: Tensor | None = None

    @property
    def contributions(self) -> Tensor:
        """(B, S) in nats. They add up to log p(x); the last is the density of what enters the last scale."""
        return self.flow + self.tail + self.latent

    @property
    def log_prob(self) -> Tensor:
        """(B,) log p(x) in nats, of x in [-.5, .5) as it went in."""
        return self.contributions.sum(1)
