"""How well a detector's maps say where the anomaly is. Apart from the scores, which no edit of this shall make anew."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.data.images import rows_of_images
from workloads.data.reading.region import IGNORED
from workloads.data.view import TargetView
from workloads.data.windows import stitch
from workloads.learner import Localizing
from workloads.scoring.pixel_metrics import PixelCounts, PixelMetrics

PIXELS = 1 << 22
"""Of the maps in memory at a time."""


def pixel_metrics(scorers: Sequence[Localizing], view: TargetView) -> PixelMetrics | None:
    """How well maps of the test images agree with their masks; None without maps, or without masks.

    scorers: whose maps are averaged into the detector's. A few images' maps are in memory at a time.
    """
    if not scorers or view.masks is None or not len(view.masks):
        return None
    counts, places = PixelCounts(), view.windows.get("test")
    for images in few_windows(rows_of_images(view.ids["test"]), max(1, PIXELS // view.masks[0].numel())):
        first, last = images[0].start, images[-1].stop
        maps, masks = mean_maps(scorers, view.tested[first:last]), view.masks[first:last].cpu().numpy()
        for rows in (slice(image.start - first, image.stop - first) for image in images):
            if places is None:
                whole, marks = maps[rows.start], masks[rows.start]
            else:
                lie = places[first:last][rows]
                whole, marks = stitch(maps[rows], lie), stitch(masks[rows].astype(np.float32), lie).astype(np.uint8)
            counts.add(np.where(marks == IGNORED, np.float32(np.nan), whole), (marks == 1).astype(np.uint8))
    return counts.metrics()


def few_windows(images: Sequence[slice], limit: int) -> Iterator[list[slice]]:
    """The rows of images that follow one another, so many images at a time that they have at most `limit` windows, or
    one that has more by itself."""
    waiting: list[slice] = []
    for image in images:
        if waiting and image.stop - waiting[0].start > limit:
            yield waiting
            waiting = []
        waiting.append(image)
    if waiting:
        yield waiting


def mean_maps(scorers: Sequence[Localizing], images: Tensor) -> NDArray[np.float32]:
    """The maps (N, H, W) of a detector: the mean of its parts' that have some. images: uint8 (N, C, H, W)."""
    few = images.split(max(1, PIXELS // images[0, 0].numel()))
    means = [torch.stack([scorer.maps(some).float() for scorer in scorers]).mean(0).cpu().numpy() for some in few]
    return np.concatenate(means)
