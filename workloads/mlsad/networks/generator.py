"""Generator G_k: a U-Net from a noise image to an image (table 8), for any side that is a power of two."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from workloads.mlsad.architecture import encoder_channels, scaled
from workloads.mlsad.networks.layers import SLOPE
from workloads.training.distributed import Parallel


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics are those of the global batch (torch's own synchronised one needs CUDA)."""

    parallel = Parallel()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.parallel.world == 1:
            return super().forward(x)
        x = x.float()  # statistics, and what workers sum, are float32 whatever the convolutions compute in
        mean = self.parallel.mean(x.mean((0, 2, 3)))
        centred = x - mean[None, :, None, None]
        var = self.parallel.mean(centred.square().mean((0, 2, 3)))
        count = x.numel() // x.shape[1] * self.parallel.world
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean, momentum)  # type: ignore[union-attr]
            self.running_var.lerp_(var * count / max(count - 1, 1), momentum)  # type: ignore[union-attr]
            self.num_batches_tracked += 1  # type: ignore[assignment, operator]
        scale = self.weight * (var + self.eps).rsqrt()
        return centred * scale[None, :, None, None] + self.bias[None, :, None, None]


def block(conv: nn.Module, out: int, spectral: bool, batch: bool) -> nn.Sequential:
    """conv (spectrally normalised where asked) -> batch norm (where asked) -> leaky ReLU."""
    norms = [SharedBatchNorm(out)] if batch else []
    return nn.Sequential(spectral_norm(conv) if spectral else conv, *norms, nn.LeakyReLU(SLOPE))


class Generator(nn.Module):
    """z ~ N(0, 1) of shape (N, C, S, S) -> images of that shape in [-1, 1].

    `spectral`, `batch`: the norms of every layer but the output. The paper's text names both, its table batch norm
    alone. Convolutions have a bias only where no batch norm follows, which would take it off again.
    """

    def __init__(self, side: int, channels: int, width: float, spectral: bool = True, batch: bool = True) -> None:
        super().__init__()
        sizes = [scaled(c, width) for c in encoder_channels(side)]
        top, bottom = sizes[-1], scaled(512, width)

        def conv(inner: int, out: int, kernel: int, **more: Any) -> nn.Sequential:
            return block(nn.Conv2d(inner, out, kernel, bias=not batch, **more), out, spectral, batch)

        self.down = nn.ModuleList(
            nn.Sequential(conv(i, o, 4, stride=2, padding=1), conv(o, o, 1))
            for i, o in zip([channels, *sizes], sizes, strict=False)
        )
        self.squeeze = conv(top, bottom, 4)
        # a linear layer 1x1 -> 4x4 is a transposed convolution of a single pixel
        self.expand = block(nn.ConvTranspose2d(bottom, top, 4, bias=not batch), top, spectral, batch)
        up, inner = [], 2 * top
        for out in reversed(sizes[:-1]):
            up.append(nn.Sequential(conv(inner, out, 3, padding=1), conv(out, out, 1)))
            inner = 2 * out
        self.up = nn.ModuleList(up)
        last = sizes[0]
        self.out = nn.Sequential(conv(inner, last, 3, padding=1), nn.Conv2d(last, channels, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        skips, x = [], z
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = torch.cat([self.expand(self.squeeze(x)), skips.pop()], 1)
        for up in self.up:
            x = torch.cat([up(F.interpolate(x, scale_factor=2, mode="bilinear")), skips.pop()], 1)
        out: Tensor = self.out(F.interpolate(x, scale_factor=2, mode="bilinear"))
        return out
