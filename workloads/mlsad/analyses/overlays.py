"""Score maps as pictures: plain arrays, no plotting library."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.data.conform import as_channels

Picture = NDArray[np.uint8]

INFERNO = (
    *((0, 0, 4), (12, 8, 38), (36, 12, 79), (66, 10, 104), (93, 18, 110), (120, 28, 109), (147, 38, 103)),
    *((174, 48, 92), (199, 62, 76), (221, 81, 58), (237, 105, 37), (248, 133, 15), (252, 165, 10), (250, 198, 45)),
    *((242, 230, 97), (252, 255, 164)),
)
"""matplotlib's colour map at 16 equal steps: lightness rises evenly, so brighter is always more anomalous."""

SMALLEST = 128  # pixels: what an eye can still read
OPACITY = 0.65  # of the map over the grey image
QUIET, LOUD = 1.0, 99.5  # percentiles of the maps of normal images at which colours begin and, at least, end


def colours(values: Tensor) -> Tensor:
    """(S, S) in [0, 1] -> uint8 (3, S, S), black over violet and orange to yellow."""
    table = torch.tensor(INFERNO, dtype=torch.float32)
    at = values.detach().cpu().float().clamp(0, 1) * (len(table) - 1)
    low = at.floor().long().clamp_max(len(table) - 2)
    colour = torch.lerp(table[low], table[low + 1], (at - low)[..., None])
    return colour.round().to(torch.uint8).permute(2, 0, 1)


def limits(normal: Tensor, shown: Tensor) -> tuple[float, float]:
    """Scores at which colours begin and end, from the maps (N, S, S) of normal images and of those to be shown."""
    low, loud = np.percentile(normal.cpu().numpy(), (QUIET, LOUD))
    return float(low), max(float(loud), float(shown.max()))


def stretched(scores: Tensor, low: float, high: float) -> Tensor:
    """Scores from [low, high] to [0, 1], cut outside; all 0 where the limits meet."""
    return (scores.float() - low).div(max(high - low, 1e-12)).clamp(0, 1)


def side_by_side(panels: Sequence[Tensor]) -> Picture:
    """uint8 panels (1 or 3, S, S) as one picture (H, W, 3), every pixel repeated so that a panel has 128 or more."""
    row = torch.cat([as_channels(panel[None].cpu(), 3)[0] for panel in panels], 2)
    times = -(-SMALLEST // row.shape[1])
    large = row.repeat_interleave(times, 1).repeat_interleave(times, 2)
    return np.ascontiguousarray(large.permute(1, 2, 0).numpy())


def overlay(image: Tensor, scores: Tensor, low: float, high: float, mask: Tensor | None = None) -> Picture:
    """An image, the same in grey under its map, and the true mask where there is one; see `side_by_side`.

    image: uint8 (1 or 3, S, S). scores: (S, S), coloured from `low` to `high`: pictures that share these limits can be
    compared. mask: uint8 (S, S), 0 or 1, white where anomalous.
    """
    grey = as_channels(image[None].cpu(), 1)[0].float()
    over = OPACITY * colours(stretched(scores, low, high)).float() + (1 - OPACITY) * grey
    panels = [image, over.round().to(torch.uint8)]
    return side_by_side(panels if mask is None else [*panels, mask[None] * 255])
