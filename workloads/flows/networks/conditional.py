"""Class-conditional flow: one body, one diagonal Gaussian over the latents a class (arXiv 2006.10848, supervised)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from workloads.flows.networks.flow import Flow, Transform, standard_normal
from workloads.flows.networks.terms import Terms


def gaussians(z: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """(B, classes) log N(z; mean_y, diag(std_y^2)) in nats of z (B, ...), for mean and log_std (classes, D)."""
    return standard_normal((z.flatten(1)[:, None] - mean) * (-log_std).exp(), batch=2) - log_std.sum(1)


HEADS = ("shift", "log_scale", "mean", "log_std")
"""A class's actnorm, then its Gaussian; each (classes, D)."""


class ConditionalFlow(Flow):
    """log p(x | y) = log |det f'(x)| + log |det h_y| + log N(h_y(f(x)); mean_y, diag(std_y^2)), classes equally likely.

    h_y(z) = (z + shift_y) exp(log_scale_y). As the authors' heads: for each class an actnorm and then a Gaussian with
    mean and deviation of its own, all zero at the start. The two amount to one diagonal affine map, and yet not to one
    pair of tensors in training: a step of Adamax moves each by the rate, so both together by twice of it.
    """

    shift: Tensor
    log_scale: Tensor
    mean: Tensor
    log_std: Tensor

    def __init__(self, body: Transform, classes: int) -> None:
        super().__init__(body)
        self.classes = classes
        self.sizes = [math.prod(shape) for shape in body.shapes]
        for name in HEADS:
            setattr(self, name, nn.Parameter(torch.zeros(classes, sum(self.sizes))))
        self.register_load_state_dict_pre_hook(_earlier_heads)

    def heads(self, latents: tuple[Tensor, ...]) -> Tensor:
        """(B, S, classes): each scale's latents under each class's head, in nats."""
        pieces = (part.split(self.sizes, 1) for part in self.gaussian())
        return torch.stack([gaussians(*scale) for scale in zip(latents, *pieces, strict=True)], 1)

    def gaussian(self) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of each class's latents, (classes, D): actnorm and Gaussian as the one they make."""
        return self.mean * (-self.log_scale).exp() - self.shift, self.log_std - self.log_scale

    def class_log_prob(self, x: Tensor) -> Tensor:
        """(B, classes) log p(x | y) in nats."""
        encoded = self.encode(x)
        return (encoded.flow + encoded.tail).sum(1, keepdim=True) + self.heads(encoded.latents).sum(1)

    def forward(self, x: Tensor) -> Terms:
        """Terms of log p(x) = logsumexp_y log p(x | y) - ln(classes).

        A scale's latent term is its class terms averaged under the posterior p(y | x) of the whole image. What is then
        missing to log p(x), minus the divergence of the posterior from equal classes (0 to ln(classes) nats), is shared
        equally by the scales, so that the contributions add up exactly. The terms' `marginal` has the classes
        marginalised within each scale, as the authors' code does, and adds up to no density.
        """
        encoded = self.encode(x)
        heads = self.heads(encoded.latents)
        marginal = heads.logsumexp(2) - math.log(self.classes)
        return Terms(encoded.flow, encoded.tail, self.posterior_mean(heads), encoded.latents, marginal)

    def posterior_mean(self, heads: Tensor) -> Tensor:
        """(B, S) latent terms without a class, of heads (B, S, classes)."""
        joint = heads.sum(1)
        average = (heads * joint.softmax(1)[:, None]).sum(2)
        whole = joint.logsumexp(1) - math.log(self.classes)
        return average + (whole - average.sum(1))[:, None] / len(self.sizes)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Images of classes drawn at random."""
        label = torch.randint(self.classes, (count,), generator=generator, device=self.mean.device)
        noise = self.noise((count, sum(self.sizes)), generator)
        mean, log_std = self.gaussian()
        flat = mean[label] + temperature * log_std[label].exp() * noise
        pieces = zip(flat.split(self.sizes, 1), self.shapes, strict=True)
        return self.inverse([z.reshape(count, *shape) for z, shape in pieces])


def _earlier_heads(_flow: nn.Module, state: dict[str, Any], prefix: str, *_rest: Any) -> None:
    """Flows of runs before December 2026 have a Gaussian a class alone, which is a head whose actnorm does nothing."""
    if f"{prefix}mean" in state:
        for name in ("shift", "log_scale"):
            state.setdefault(f"{prefix}{name}", torch.zeros_like(state[f"{prefix}mean"]))
