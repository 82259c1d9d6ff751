"""Where detectors of large images look in training: random squares of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from workloads.mlsad.architecture import map_side
from workloads.training.distributed import Draws


def crops(x: Tensor, corners: Tensor, side: int) -> Tensor:
    """One square of `side` cells an image, each from its own place.

    x: (N or 1, C, S, S); corners: integers (N, 2), row and column of the first cell, in [0, S - side].
    Returns (N, C, side, side).
    """
    x, reach = x.expand(len(corners), -1, -1, -1), torch.arange(side, device=x.device)
    image = torch.arange(len(corners), device=x.device)[:, None, None]
    rows, columns = corners[:, 0, None] + reach, corners[:, 1, None] + reach
    return x[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def crop_corners(draws: Draws, shape: Sequence[int], side: int, crop: int, level: int) -> Tensor:
    """Random first cells of crops, integers (*shape, 2) in [0, side - crop], for `crops`.

    A square of the crop's windows slides over the image's windows from the first that it touches to the last, each
    place as likely, and is pushed back inside where it hangs over. So every k x k window, k = `level`, is in at least
    the share of crops that the squares touching it are of all, whether it lies at a border or not. With uniform corners
    the outermost windows would be seen up to `crop` times less often than others.
    """
    reach = map_side(crop, level)
    places = map_side(side, level) + reach - 1
    return (draws.integers(places, (*shape, 2)) - (reach - 1)).clamp(0, side - crop)
