"""Tiny flows in a state that no test can mistake for the start: every parameter is off its initial value."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workloads.flows.architecture import Architecture
from workloads.flows.networks.build import build
from workloads.flows.networks.flow import Flow

LOG_SIGMOID_2 = -0.12692801104297263
KINDS = ("glow", "patch", "dense")
TINY = Architecture("glow", 3, 8, scales=2, steps=2, hidden=6, patch=4)


def images(count: int, channels: int, side: int, seed: int = 1) -> Tensor:
    """Smooth images with noise in [-.5, .5), unlike at every place."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 2, 2, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    noise = torch.rand(count, channels, side, side, generator=generator)
    return (0.8 * smooth + 0.2 * noise - 0.5).to(torch.get_default_dtype())


@torch.no_grad()
def disturb(net: nn.Module, size: float, seed: int = 2) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(size * noise.to(parameter.dtype))


def made(architecture: Architecture, size: float = 0.05, seed: int = 0) -> Flow:
    """Built from the seed, initialised on 32 images, then disturbed by N(0, size^2)."""
    torch.manual_seed(seed)
    net = build(architecture)
    net.initialise(images(32, architecture.channels, architecture.side))
    disturb(net, size)
    return net


def volume(function: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """log |det| of the Jacobian of a function of one sample x (1, ...)."""
    jacobian = torch.autograd.functional.jacobian(lambda v: function(v.view_as(x)).flatten(), x.flatten())
    return float(torch.linalg.slogdet(jacobian)[1])
