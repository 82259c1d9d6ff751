"""Class-conditional flow: one body, one diagonal Gaussian over the latents a class (arXiv 2006.10848, supervised)."""

import math

import torch
from torch import Tensor, nn

from workloads.flows.networks.flow import Encoded, Flow, Transform, standard_normal
from workloads.flows.networks.terms import Terms


def gaussians(z: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """(B, classes) log N(z; mean_y, diag(std_y^2)) in nats of z (B, ...), for mean and log_std (classes, D)."""
    return standard_normal((z.flatten(1)[:, None] - mean) * (-log_std).exp(), batch=2) - log_std.sum(1)


class ConditionalFlow(Flow):
    """log p(x | y) = log |det f'(x)| + log N(f(x); mean_y, diag(std_y^2)); classes are equally likely.

    The authors give each class an actnorm and then a Gaussian with mean and deviation of its own, two diagonal affine
    maps that amount to one; here they are one (mean, log_std), zero at the start, which halves the heads.
    """

    def __init__(self, body: Transform, classes: int) -> None:
        super().__init__(body)
        self.classes = classes
        self.sizes = [math.prod(shape) for shape in body.shapes]
        self.mean = nn.Parameter(torch.zeros(classes, sum(self.sizes)))
        self.log_std = nn.Parameter(torch.zeros(classes, sum(self.sizes)))

    def heads(self, latents: tuple[Tensor, ...]) -> Tensor:
        """(B, S, classes): each scale's latents under each class's Gaussian, in nats."""
        means, log_stds = self.mean.split(self.sizes, 1), self.log_std.split(self.sizes, 1)
        return torch.stack([gaussians(*scale) for scale in zip(latents, means, log_stds, strict=True)], 1)

    def class_log_prob(self, x: Tensor) -> Tensor:
        """(B, classes) log p(x | y) in nats."""
        encoded = self.encode(x)
        return (encoded.flow + encoded.tail).sum(1, keepdim=True) + self.heads(encoded.latents).sum(1)

    def forward(self, x: Tensor) -> Terms:
        """Terms of log p(x) = logsumexp_y log p(x | y) - ln(classes).

        A scale's latent term is its class terms averaged under the posterior p(y | x) of the whole image. What is then
        missing to log p(x), minus the divergence of the posterior from equal classes (0 to ln(classes) nats), is shared
        equally by the scales, so that the contributions add up exactly. Marginalising the classes within each scale, as
        the authors' code does, would not.
        """
        encoded = self.encode(x)
        return Terms(encoded.flow, encoded.tail, self.marginal(encoded), encoded.latents)

    def marginal(self, encoded: Encoded) -> Tensor:
        """(B, S) latent terms without a class."""
        heads = self.heads(encoded.latents)
        joint = heads.sum(1)
        average = (heads * joint.softmax(1)[:, None]).sum(2)
        whole = joint.logsumexp(1) - math.log(self.classes)
        return average + (whole - average.sum(1))[:, None] / len(self.sizes)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Images of classes drawn at random."""
        label = torch.randint(self.classes, (count,), generator=generator, device=self.mean.device)
        noise = self.noise((count, sum(self.sizes)), generator)
        flat = self.mean[label] + temperature * self.log_std[label].exp() * noise
        pieces = zip(flat.split(self.sizes, 1), self.shapes, strict=True)
        return self.inverse([z.reshape(count, *shape) for z, shape in pieces])
