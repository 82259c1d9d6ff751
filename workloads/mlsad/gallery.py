"""Samples of every level side by side (Fig. 3 of the paper)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workloads.mlsad.mrf import as_channels

COLUMNS = 8
CELL = 64  # pixels that an image is at least wide
GAP = 2  # pixels of white around every image


def grid(rows: Sequence[Tensor]) -> np.ndarray:
    """uint8 (H, W, 3): the first 8 images of every row, from uint8 (N, C, S, S) of one side, C 1 or 3.

    Pixels are repeated until an image is 64 pixels wide or more, never smoothed: structure must be seen as it is.
    Places of a row with fewer images stay white. Raises ValueError for no rows.
    """
    if not rows:
        raise ValueError("a grid needs at least one row of images")
    side = rows[0].shape[-1]
    scale = -(-CELL // side)
    step = side * scale + GAP
    canvas = torch.full((len(rows) * step + GAP, COLUMNS * step + GAP, 3), 255, dtype=torch.uint8)
    for i, images in enumerate(rows):
        for j, image in enumerate(as_channels(images[:COLUMNS], 3).permute(0, 2, 3, 1).cpu()):
            top, left = i * step + GAP, j * step + GAP
            large = image.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
            canvas[top : top + side * scale, left : left + side * scale] = large
    return canvas.numpy()
