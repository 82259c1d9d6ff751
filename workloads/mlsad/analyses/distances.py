"""How far images are from each other: root mean square over pixels and channels, in units where 0 is black, 1 white.

Images are uint8 (N, C, S, S). Distances are exact: squares and products of bytes are added in float64, which holds
every such sum, so equal images are at 0 and not near it.
"""

import torch
from torch import Tensor

from workloads.mlsad.networks.layers import at_once

BLOCK = 256  # images of 32 x 32 turned to float64 at a time: 6 MB in RGB


def blocks(images: Tensor) -> tuple[Tensor, ...]:
    return images.split(at_once(BLOCK, images.shape[-1]))


def pairwise(images: Tensor, pool: Tensor) -> Tensor:
    """(N, M) float64 in [0, 1], of every image of the first to every image of the second."""
    a, parts = images.flatten(1).double(), []
    for block in blocks(pool):
        b = block.flatten(1).double()
        parts.append(a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T)
    return torch.cat(parts, 1).div(a.shape[1]).sqrt() / 255


def nearest(images: Tensor, pool: Tensor) -> float | None:
    """Mean over the images of the distance to the nearest of the pool; None where either is empty."""
    if not len(images) or not len(pool):
        return None
    return float(torch.cat([pairwise(block, pool).amin(1) for block in blocks(images)]).mean())


def diversity(images: Tensor) -> float | None:
    """Mean distance over all pairs of different rows; None with fewer than two."""
    count = len(images)
    if count < 2:
        return None
    return float(sum(pairwise(block, images).sum() for block in blocks(images)) / (count * (count - 1)))


def mean_difference(images: Tensor, others: Tensor) -> float | None:
    """Distance of the two mean images; None where either is empty."""
    if not len(images) or not len(others):
        return None
    return float((mean_image(images) - mean_image(others)).square().mean().sqrt()) / 255


def mean_image(images: Tensor) -> Tensor:
    """(C, S, S) float64 in [0, 255]."""
    total = torch.stack([block.double().sum(0) for block in blocks(images)]).sum(0)
    return total / len(images)
