"""Invertible 1x1 convolutions: how channels mix between two couplings.

The K matrices of a scale's K steps have one size, so they are kept, assembled and inverted as one (K, C, C) tensor: a
few kernels a scale instead of a few a step.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.flows.architecture import Permutation


def rotations(steps: int, channels: int) -> Tensor:
    """(K, C, C) random orthogonal matrices: Q of a Gaussian matrix. Off by 1e-6 in float32, 4e-5 nats at C = 1536."""
    return torch.linalg.qr(torch.randn(steps, channels, channels))[0]


def shuffles(steps: int, channels: int) -> Tensor:
    """(K, C, C) random permutation matrices."""
    return torch.eye(channels)[torch.rand(steps, channels).argsort(1)]


def mix(x: Tensor, weight: Tensor) -> Tensor:
    """x (B, C, H, W) times weight (C, C) over its channels.

    A matrix product and not a convolution: float32 convolutions run in TF32 on recent GPUs unless told otherwise,
    products do not. The result is laid out channels last, as the coupling networks like it.
    """
    return F.linear(x.permute(0, 2, 3, 1), weight).permute(0, 3, 1, 2)


class Mixing(nn.Module, ABC):
    """Matrices (K, C, C) and their log |det| (K,)."""

    @abstractmethod
    def forward(self) -> tuple[Tensor, Tensor]:
        """The matrices and their log |det|."""

    def inverses(self) -> Tensor:
        """(K, C, C), inverted in float64."""
        weights, _ = self()
        return torch.linalg.inv(weights.double()).to(weights.dtype)


class LU(Mixing):
    """W = P (strict lower + I) (strict upper + diag(sign exp(log_s))), log |det| = sum log_s (1807.03039, eq. 11).

    P and the signs stay as they start, from the LU decomposition of a random rotation.
    """

    order: Tensor
    sign: Tensor
    eye: Tensor

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(rotations(steps, channels))
        diagonal = upper.diagonal(dim1=1, dim2=2)
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(diagonal.abs().log())
        self.register_buffer("sign", diagonal.sign())
        self.register_buffer("order", permutation.argmax(2))  # row i of P L U is row order[i] of L U
        self.register_buffer("eye", torch.eye(channels), persistent=False)

    def forward(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.tril(-1) + self.eye
        upper = self.upper.triu(1) + torch.diag_embed(self.sign * self.log_s.exp())
        return torch.take_along_dim(lower @ upper, self.order[..., None], 1), self.log_s.sum(1)


class Plain(Mixing):
    """Any matrix, from a random rotation; its determinant is computed in float64 at every call."""

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(rotations(steps, channels))

    def forward(self) -> tuple[Tensor, Tensor]:
        return self.weight, torch.linalg.slogdet(self.weight.double())[1].to(self.weight.dtype)


class Fixed(Mixing):
    """Orthogonal matrices that are not trained. One copy is kept: the inverse is the transpose."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.weight.new_zeros(len(self.weight))

    def inverses(self) -> Tensor:
        return self.weight.mT


def mixing(permutation: Permutation, steps: int, channels: int) -> Mixing:
    """The K matrices of a scale's steps, drawn from torch's global generator."""
    if permutation == "lu":
        return LU(steps, channels)
    if permutation == "plain":
        return Plain(steps, channels)
    return Fixed((rotations if permutation == "rotation" else shuffles)(steps, channels))
