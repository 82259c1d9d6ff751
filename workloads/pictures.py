"""Images laid out for the eye, as plain arrays; writing files is the caller's."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LEAST = 64  # pixels of an image's side in a picture
GAP = 2  # between images
APART = 8  # between groups of rows
PAPER = (70, 90, 130)  # no shade of grey: a border must not look like a pixel of an image


def grid(groups: Sequence[Sequence[Tensor]]) -> np.ndarray:
    """uint8 (H, W, 3): every tensor, uint8 (N, 1 or 3, S, S), is a row; the rows of a group stand close together.

    Images are enlarged by a whole number to at least 64 pixels, every pixel a square. Rows may differ in N.
    Raises ValueError where there is no row.
    """
    rows = [(row, first) for group in groups for row, first in zip(group, [True] + [False] * len(group), strict=False)]
    if not rows:
        raise ValueError("a grid needs at least one row")
    scale = math.ceil(LEAST / rows[0][0].shape[-1])
    cell = rows[0][0].shape[-1] * scale
    columns = max(len(row) for row, _ in rows)
    heights = [(APART if first else GAP) + cell for _, first in rows]
    canvas = np.full((sum(heights) + APART, columns * (cell + GAP) + 2 * APART - GAP, 3), PAPER, np.uint8)
    for bottom, (row, _) in zip(np.cumsum(heights), rows, strict=True):
        for i, image in enumerate(enlarged(row, scale)):
            left = APART + i * (cell + GAP)
            canvas[bottom - cell : bottom, left : left + cell] = image
    return canvas


def enlarged(images: Tensor, scale: int) -> np.ndarray:
    """uint8 (N, S * scale, S * scale, 3) from uint8 (N, 1 or 3, S, S)."""
    whole = images.expand(-1, 3, -1, -1).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    array: np.ndarray = whole.movedim(1, -1).to("cpu", torch.uint8).numpy()
    return array
