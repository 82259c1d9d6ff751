"""A flow as a density: a transform to latents, and the standard normal that they should follow."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from workloads.flows.networks.terms import Terms

Shape = tuple[int, int, int]


class Encoded(NamedTuple):
    """Logdets (B, S) in nats of S scales' flow steps and tail actnorms, and the latents, (B, C_i, H_i, W_i)."""

    flow: Tensor
    tail: Tensor
    latents: tuple[Tensor, ...]


class Transform(nn.Module, ABC):
    """A bijection between images and latents, scale by scale. `shapes`: the latents' (C, H, W)."""

    shapes: tuple[Shape, ...]

    @abstractmethod
    def encode(self, x: Tensor, measure: bool = False) -> Encoded:
        """x (B, C, H, W); `measure` takes every actnorm from what reaches it, in order."""

    @abstractmethod
    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        """Images (B, C, H, W) of the latents of every scale."""


def standard_normal(z: Tensor, batch: int = 1) -> Tensor:
    """log N(z; 0, I) in nats of z (B, ...) -> (B,); `batch`: how many leading dimensions count samples."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(batch).sum(batch)


class Flow(nn.Module):
    """log p(x) = log N(f(x); 0, I) + log |det f'(x)|, for x float32 (B, C, H, W) in [-.5, .5), dequantised.

    `initialise` must have seen data, or a state that did must have been loaded: the flag is part of the state. On a GPU
    the coupling networks' convolutions run in TF32 unless `torch.backends.cudnn` is told not to, as scoring should.
    """

    initialised: Tensor

    def __init__(self, body: Transform) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))
        self._ready = False  # spares the device a synchronisation a call, once the flag was seen
        self.register_load_state_dict_post_hook(_look_again)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return self.body.shapes

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """One pass of x (B, C, H, W) that sets every actnorm, in order, from what reaches it.

        Deterministic: workers that hold the same weights and pass the same (whole) batch end up equal; one that passed
        its own rows alone would not. The published recipe takes about 700 noised images. Raises ValueError below two.
        """
        if len(x) < 2:
            raise ValueError(f"actnorm needs the deviation of two images or more to start from, found {len(x)}")
        self.encode(x, measure=True)
        self.initialised.fill_(True)

    def encode(self, x: Tensor, measure: bool = False) -> Encoded:
        if not measure:
            self.require_initialised()
        with torch.autocast(x.device.type, enabled=False):  # a caller's autocast must not reach the flow's state
            return self.body.encode(x, measure)

    def forward(self, x: Tensor) -> Terms:
        encoded = self.encode(x)
        return Terms(*encoded[:2], torch.stack([standard_normal(z) for z in encoded.latents], 1), encoded.latents)

    def inverse(self, latents: Sequence[Tensor]) -> Tensor:
        """Latents as `forward` gives them -> x (B, C, H, W)."""
        self.require_initialised()
        return self.body.decode(latents)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """(count, C, H, W) images, about [-.5, .5). temperature: the latents' standard deviation.

        The generator must live on the flow's device.
        """
        return self.inverse([temperature * self.noise((count, *shape), generator) for shape in self.shapes])

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        parameter = next(self.parameters())
        return torch.randn(shape, generator=generator, device=parameter.device, dtype=parameter.dtype)

    def require_initialised(self) -> None:
        self._ready = self._ready or bool(self.initialised)
        if not self._ready:
            raise RuntimeError("this flow's actnorms have seen no data: call initialise(x) or load a trained state")


def _look_again(flow: Flow, _incompatible: Any) -> None:
    flow._ready = False
