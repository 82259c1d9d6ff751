"""Maps smoothed by a Gaussian."""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad


def smoothed(scores: Tensor, deviation: float) -> Tensor:
    """(N, 1, H, W) filtered by a Gaussian, cut at four deviations; borders take their nearest pixels."""
    reach = math.ceil(4 * deviation)
    if reach == 0:
        return scores
    at = torch.arange(-reach, reach + 1, device=scores.device)
    kernel = torch.exp(-0.5 * (at / deviation) ** 2)
    kernel /= kernel.sum()
    scores = conv2d(pad(scores, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None])
    return conv2d(pad(scores, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None])
