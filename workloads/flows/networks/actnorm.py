"""Actnorm: a learned shift and scale that start by normalising the first data they see."""

import torch
from torch import Tensor, nn

STD_FLOOR = 1e-6  # a constant channel is scaled by a million, not by infinity


class ActNorm(nn.Module):
    """y = scale (x + shift), scale = exp(log_scale) + eps (Kingma and Dhariwal, arXiv 1807.03039, section 3.1).

    shape: (C, 1, 1) for one pair a channel, (C, H, W) for one a dimension. eps: 1e-8 in the tail of a scale, else 0.
    The parameters are the identity until `measure` has seen data.
    """

    def __init__(self, shape: tuple[int, ...], eps: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.eps = eps
        self.shared = [i for i, size in enumerate((1, *shape)) if size == 1]  # dimensions that share a pair

    def scale(self) -> Tensor:
        return self.log_scale.exp() + self.eps

    def log_scales(self) -> Tensor:
        """Sum of log scale over the parameters, a scalar; times H W where a pair serves a whole channel."""
        return (self.scale().log() if self.eps else self.log_scale).sum()

    @torch.no_grad()
    def measure(self, x: Tensor) -> None:
        """Take shift and scale from x (B, C, H, W): mean 0 and unbiased standard deviation 1 afterwards."""
        std, mean = torch.std_mean(x, self.shared, keepdim=True)
        self.shift.copy_(-mean[0])
        self.log_scale.copy_(-std[0].clamp(min=STD_FLOOR).log())

    def forward(self, x: Tensor, measure: bool = False) -> Tensor:
        if measure:
            self.measure(x)
        return (x + self.shift) * self.scale()

    def inverse(self, y: Tensor) -> Tensor:
        return y / self.scale() - self.shift
