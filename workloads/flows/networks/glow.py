"""Multi-scale Glow without learned priors (Schirrmeister et al., arXiv 2006.10848; Glow: arXiv 1807.03039)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.flows.architecture import Architecture, latent_shapes, scale_shapes
from workloads.flows.networks.actnorm import ActNorm
from workloads.flows.networks.conv_net import ConvNet
from workloads.flows.networks.coupling import Coupling
from workloads.flows.networks.flow import Encoded, Shape, Transform
from workloads.flows.networks.inv_conv import mixing
from workloads.flows.networks.step import Steps

TAIL_EPS = 1e-8


class MultiScale(Transform):
    """Squeeze 2x2 pixels into channels, flow, let half of the channels go as latents, and again.

    blocks: the flow of each scale. Each latent dimension ends with its own shift and scale (the tail actnorm), which
    stand for the mean and the deviation of a learned prior.
    """

    blocks: Sequence[Steps]
    tails: Sequence[ActNorm]

    def __init__(self, shapes: Sequence[Shape], blocks: Sequence[Steps]) -> None:
        super().__init__()
        self.shapes = tuple(shapes)
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.tails = nn.ModuleList(ActNorm(shape, TAIL_EPS) for shape in shapes)  # type: ignore[assignment]

    def encode(self, x: Tensor, measure: bool = False) -> Encoded:
        flows, tails, latents = [], [], []
        for block, tail in zip(self.blocks, self.tails, strict=True):
            x, logdet = block(F.pixel_unshuffle(x, 2), measure)
            z, x = x.split([tail.shift.shape[0], x.shape[1] - tail.shift.shape[0]], 1)
            latents.append(tail(z, measure))
            flows.append(logdet)
            tails.append(tail.log_scales().expand(z.shape[0]))
        return Encoded(torch.stack(flows, 1), torch.stack(tails, 1), tuple(latents))

    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        x = latents[-1][:, :0]  # nothing goes on after the last scale
        for block, tail, z in zip(reversed(self.blocks), reversed(self.tails), reversed(latents), strict=True):
            x = F.pixel_shuffle(block.inverse(torch.cat([tail.inverse(z), x], 1)), 2)
        return x


def conv_block(a: Architecture, channels: int) -> Steps:
    """K steps with convolutional couplings on feature maps of that many channels."""
    affine = a.coupling == "affine"

    def coupling() -> Coupling:
        net = ConvNet(channels // 2, a.hidden, channels if affine else channels // 2)
        return Coupling(net, affine, a.checkpointing, a.autocast)

    return Steps(channels, mixing(a.permutation, a.steps, channels), [coupling() for _ in range(a.steps)])


def glow(a: Architecture) -> MultiScale:
    """3x32x32 and three scales: flows on 12x16x16, 24x8x8 and 48x4x4, latents of 1536, 768 and 768 dimensions."""
    return MultiScale(latent_shapes(a), [conv_block(a, shape[0]) for shape in scale_shapes(a)])
