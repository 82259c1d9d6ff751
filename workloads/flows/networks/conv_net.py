"""The convolutional network inside a coupling (arXiv 1807.03039, with actnorms after the hidden layers)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.flows.networks.actnorm import ActNorm

WEIGHT_STD = 0.05
LOG_GAIN = 3.0  # of the last layer: its output is multiplied by exp(3 g)


class NormedConv(nn.Module):
    """Convolution without bias, then actnorm, computed as one convolution.

    scale (conv(x) + shift) is a convolution with other weights, and so neither the hidden maps before the norm nor a
    shifted copy of them is kept for the backward pass.
    """

    def __init__(self, inner: int, out: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inner, kernel, kernel) * WEIGHT_STD)
        self.norm = ActNorm((out, 1, 1))

    def forward(self, x: Tensor, measure: bool) -> Tensor:
        if measure:
            self.norm.measure(F.conv2d(x, self.weight, padding="same"))
        scale = self.norm.scale()
        return F.conv2d(x, self.weight * scale[..., None], (self.norm.shift * scale).flatten(), padding="same")


class ZeroConv(nn.Module):
    """3x3 convolution that starts at 0, its output multiplied by exp(3 g) with a learned g a channel."""

    def __init__(self, inner: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out, inner, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out))
        self.log_gain = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        gain = (LOG_GAIN * self.log_gain).exp()
        return F.conv2d(x, self.weight * gain[:, None, None, None], self.bias * gain, padding="same")


class ConvNet(nn.Module):
    """(B, inner, H, W) -> (B, out, H, W), zero at the start: 3x3, 1x1, 3x3 with `hidden` channels between."""

    def __init__(self, inner: int, hidden: int, out: int) -> None:
        super().__init__()
        self.enter = NormedConv(inner, hidden, 3)
        self.middle = NormedConv(hidden, hidden, 1)
        self.leave = ZeroConv(hidden, out)

    def forward(self, x: Tensor, measure: bool = False) -> Tensor:
        x = F.relu(self.enter(x, measure), inplace=True)
        x = F.relu(self.middle(x, measure), inplace=True)
        out: Tensor = self.leave(x)
        return out
