"""From 8-bit images to what a flow sees, and from log p to bits per dimension."""

import math
from typing import TypeVar

import torch
from torch import Tensor

BINS = 256
Number = TypeVar("Number", float, Tensor)


def to_unit(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> float32 v / 256 - 0.5, the lower edges of the bins, in [-0.5, 0.49609375]."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images are uint8, found {images.dtype}")
    return images.float() / BINS - 0.5


def dequantise(images: Tensor, noise: Tensor) -> Tensor:
    """uint8 images and noise U[0, 1) of their shape -> float32, uniform within each value's bin.

    No logdet is booked for the scaling: the density is that of the scaled variable.
    """
    return to_unit(images) + noise / BINS


def bin_centres(images: Tensor) -> Tensor:
    """uint8 images -> float32 centres of their bins: the deterministic input of every evaluation."""
    return to_unit(images) + 0.5 / BINS


def bits_per_dim(log_prob: Number, dims: int) -> Number:
    """log p(x) in nats of the scaled variable -> bits per dimension, for images of `dims` = C H W values.

    (n ln 256 - log p) / (n ln 2), that is 8 where log p is 0. Tensors come back in float64.
    """
    nats = log_prob.double() if isinstance(log_prob, Tensor) else log_prob
    return math.log2(BINS) - nats / (dims * math.log(2))
