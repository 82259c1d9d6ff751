"""Patch discriminator Dg_k: sees k x k windows and where they are, judges each real or generated."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from workloads.mlsad.architecture import HEADS, TRUNKS, scaled
from workloads.mlsad.networks.layers import SLOPE, Residual1x1, coordinates, minibatch_stddev


class PatchDiscriminator(nn.Module):
    """(N, C, S, S) in [-1, 1] -> (N, 1, S-k+1, S-k+1) logits, high = real (tables of appendix C).

    Two coordinate channels join the image at the input. Spectral normalisation on every layer but the output, which the
    paper's table shows without a norm. After the trunk everything is 1x1, so the receptive field is k x k, unless
    `stddev` is ``global``.
    """

    def __init__(self, level: int, channels: int, width: float, stddev: Literal["global", "local", "off"]) -> None:
        super().__init__()
        self.level, self.stddev = level, stddev
        self.trunk = nn.ModuleList()
        inner = channels + 2
        for kernel, out in TRUNKS[level]:
            self.trunk.append(spectral_norm(nn.Conv2d(inner, scaled(out, width), kernel)))
            inner = scaled(out, width) + 4
        head = scaled(HEADS[level], width)
        # the table's "ResBlock(256)" with 512 outputs is read as a bottleneck
        hidden = head // 2 if HEADS[level] == 512 else head
        self.enter = spectral_norm(nn.Conv2d(inner, head, 1))
        blocks = [Residual1x1(head, hidden) for _ in range(2)]
        for block in blocks:
            spectral_norm(block.enter)
            spectral_norm(block.leave)
        self.blocks = nn.ModuleList(blocks)
        self.out = nn.Conv2d(head, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        place = coordinates(x.shape[-1], 1, x.device).expand(len(x), -1, -1, -1)
        x = torch.cat([x, place], 1)
        for conv in self.trunk:
            x = minibatch_stddev(F.leaky_relu(conv(x), SLOPE), self.stddev)
        x = F.leaky_relu(self.enter(x), SLOPE)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.out(x)
        return logits
