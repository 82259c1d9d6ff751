"""Fully connected flow: Glow's scales without any convolution (arXiv 2006.10848, fully connected)."""

from torch import Tensor, nn
from torch.nn import functional as F

from workloads.flows.architecture import Architecture, latent_shapes, scale_shapes
from workloads.flows.networks.coupling import Coupling
from workloads.flows.networks.glow import MultiScale
from workloads.flows.networks.inv_conv import mixing
from workloads.flows.networks.step import Steps


class DenseNet(nn.Module):
    """(B, inner, 1, 1) -> (B, out, 1, 1) through two hidden layers, with torch's own starting weights, no actnorm."""

    def __init__(self, inner: int, hidden: int, out: int) -> None:
        super().__init__()
        self.enter, self.middle = nn.Linear(inner, hidden), nn.Linear(hidden, hidden)
        self.leave = nn.Linear(hidden, out)

    def forward(self, x: Tensor, measure: bool = False) -> Tensor:  # noqa: ARG002  # nothing here starts from data
        x = F.relu(self.middle(F.relu(self.enter(x.flatten(1)))))
        out: Tensor = self.leave(x)
        return out[..., None, None]


class FlatSteps(Steps):
    """Flow steps on the values of a feature map, as one pixel of D = C H W channels: all is per dimension."""

    def forward(self, x: Tensor, measure: bool = False) -> tuple[Tensor, Tensor]:
        y, logdet = super().forward(x.flatten(1)[..., None, None], measure)
        return y.reshape(x.shape), logdet

    def inverse(self, y: Tensor) -> Tensor:
        return super().inverse(y.flatten(1)[..., None, None]).reshape(y.shape)


def dense_block(a: Architecture, dims: int) -> FlatSteps:
    """K steps over all D dimensions, mixed by fixed random rotations of the whole."""
    affine = a.coupling == "affine"

    def coupling() -> Coupling:
        net = DenseNet(dims // 2, a.hidden, dims if affine else dims // 2)
        return Coupling(net, affine, a.checkpointing, a.autocast)

    return FlatSteps(dims, mixing("rotation", a.steps, dims), [coupling() for _ in range(a.steps)])


def dense_flow(a: Architecture) -> MultiScale:
    """3x32x32 and three scales: flows on 3072, 1536 and 768 dimensions. `permutation` does not count here."""
    return MultiScale(latent_shapes(a), [dense_block(a, c * h * w) for c, h, w in scale_shapes(a)])
