"""Flow steps: actnorm, invertible 1x1 convolution, coupling, and again."""

from collections.abc import Sequence

from torch import Tensor, nn

from workloads.flows.networks.actnorm import ActNorm
from workloads.flows.networks.coupling import Coupling
from workloads.flows.networks.inv_conv import Mixing, mix


class Step(nn.Module):
    """One step; the matrix of its 1x1 convolution comes from outside, with those of the scale's other steps."""

    def __init__(self, channels: int, coupling: Coupling) -> None:
        super().__init__()
        self.actnorm = ActNorm((channels, 1, 1))
        self.coupling = coupling

    def forward(self, x: Tensor, weight: Tensor, measure: bool) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W) -> y of that shape, and of the logdet (B,) only what depends on x."""
        y, logdet = self.coupling(mix(self.actnorm(x, measure), weight), measure)
        return y, logdet

    def inverse(self, y: Tensor, inverse: Tensor) -> Tensor:
        return self.actnorm.inverse(mix(self.coupling.inverse(y), inverse))


class Steps(nn.Module):
    """The K steps of one scale, one coupling each; the part of their logdet that no image changes is summed once."""

    steps: Sequence[Step]

    def __init__(self, channels: int, mixing: Mixing, couplings: Sequence[Coupling]) -> None:
        super().__init__()
        self.mixing = mixing
        self.steps = nn.ModuleList(Step(channels, coupling) for coupling in couplings)  # type: ignore[assignment]

    def forward(self, x: Tensor, measure: bool = False) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W) -> y of that shape, logdet (B,) in nats."""
        weights, constant = self.mixing()
        constant, total = constant.sum(), x.new_zeros(x.shape[0])
        for step, weight in zip(self.steps, weights.unbind(), strict=True):
            x, logdet = step(x, weight, measure)
            total = total + logdet
            constant = constant + step.actnorm.log_scales()
        return x, total + constant * x[0, 0].numel()

    def inverse(self, y: Tensor) -> Tensor:
        inverses = self.mixing.inverses().unbind()
        for step, inverse in zip(reversed(self.steps), reversed(inverses), strict=True):
            y = step.inverse(y, inverse)
        return y
