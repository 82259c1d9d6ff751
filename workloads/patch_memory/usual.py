"""What distances are usual at each place of the map, and distances told against them.

A network sees zeros around an image, so patches at its borders and corners are unlike the others in normal images, too,
and would have the highest scores of all. Objects that stand alike in all images make places differ for another reason.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SHARED = 10  # images' worth of all places' deviation in that of a place
Sums = tuple[int, Tensor, Tensor]
"""Of maps: their count, and at every place the mean and the sum of squared differences from it, float64 (h, w)."""
NOTHING: Sums = (0, torch.zeros(()), torch.zeros(()))


def usual_of(maps: Iterable[Tensor], before: Sums = NOTHING) -> tuple[Tensor, int]:
    """Mean and deviation of every place, (2, h, w), of maps (h, w) of normal images and of those `before`, two or more
    in all; and how many they are."""
    count, mean, squares = before
    for scores in maps:  # Welford's, in float64
        count += 1
        change = scores.double() - mean.to(scores.device)
        mean = mean.to(scores.device) + change / count
        squares = squares.to(scores.device) + change * (scores - mean)
    shared = squares.mean() / (count - 1)
    variance = (squares + SHARED * shared) / (count - 1 + SHARED)
    deviation = torch.where(variance > 0, variance.sqrt(), torch.ones_like(variance))
    return torch.stack([mean, deviation]).float(), count


def sums_of(usual: Tensor, count: int) -> Sums:
    """Those that `usual_of` made this of, (2, h, w), but for rounding. The mean of all variances is `shared` there."""
    mean, deviation = usual.double()
    variance = torch.zeros_like(deviation) if (deviation == 1).all() else deviation.square()
    return count, mean, (variance * (count - 1 + SHARED) - SHARED * variance.mean()).clamp(min=0)


def in_deviations(distances: Tensor, usual: Tensor) -> Tensor:
    """(n, h, w): how many deviations a distance is above what is usual at its place, brought to images of any size."""
    mean, deviation = interpolate(usual[None], distances.shape[1:], mode="bilinear", align_corners=False)[0]
    return (distances - mean) / deviation
