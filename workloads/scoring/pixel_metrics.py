"""What is reported of maps: do they say where an anomaly is?

Maps are added one at a time and forgotten: what is kept is counts for every score that has occurred, rounded to 16
significant bits. So memory grows with the scores that differ, not with the images: some MB where they lie within a few
powers of two, and 1 GB where all of the 2^24 occur. Scores that differ by less than a part in 32,768 may count as
equal; apart from that the numbers are exact.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from workloads.scoring.metrics import mean

FALSE_POSITIVES = 0.3
"""Where the curve of the regions' overlap ends, as in MVTec AD's evaluation."""
DROPPED = 8
"""Bits of a float32 that are not kept."""
MERGED = 1 << 20
"""Scores of single images that wait until they are put together."""
NEIGHBOURS = np.ones((3, 3), np.bool_)
"""Pixels of a region touch at an edge or a corner."""

Piece = tuple[NDArray[np.uint32], NDArray[np.float64]]
"""Scores as ascending integers (K,), and of each the normal pixels, the anomalous ones and shares of regions (3, K)."""


class PixelMetrics(NamedTuple):
    """All in [0, 1], higher is better; None where no pixel, or every pixel, is anomalous.

    auroc, average_precision: over the pixels of all images together. aupro: area under the per-region-overlap curve
    (Bergmann et al., IJCV 2021, section 5): the share of a region that a threshold calls anomalous, as the mean over
    all regions of all images, against the share of normal pixels that it calls so; up to `FALSE_POSITIVES`, divided by
    it.
    """

    auroc: float | None
    average_precision: float | None
    aupro: float | None


def pixel_numbers(by_target: Mapping[str, PixelMetrics]) -> dict[str, float | None]:
    """Targets' metrics and the means over those that have them, by the names that MLflow shows: ``pixel_auroc/TARGET``,
    ``pixel_average_precision/mean``. Empty without targets."""
    if not by_target:
        return {}
    columns = {name: {t: getattr(m, name) for t, m in by_target.items()} for name in PixelMetrics._fields}
    return {
        f"pixel_{name}/{key}": value
        for name, values in columns.items()
        for key, value in {**values, "mean": mean(values.values())}.items()
    }


class PixelCounts:
    """Normal pixels, anomalous pixels and shares of regions by score, of all the maps that were added."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.waiting = 0

    def add(self, pixel_map: NDArray[np.float32], mask: NDArray[np.uint8]) -> None:
        """An image's map (H, W), higher = more anomalous, and its mask (H, W), 1 where a pixel is anomalous.

        Pixels whose score is NaN, because nothing looked at them, are left out. Raises ValueError for other shapes.
        """
        if pixel_map.shape != mask.shape or mask.ndim != 2:
            raise ValueError(f"a map and its mask must be (H, W) alike, found {pixel_map.shape} and {mask.shape}")
        seen = ~np.isnan(pixel_map)
        numbers, regions = label(np.where(seen, mask, 0), NEIGHBOURS)
        sizes = np.bincount(numbers.ravel(), minlength=regions + 1)
        shares = np.where(numbers > 0, 1 / np.maximum(sizes, 1)[numbers], 0)[seen]
        odd = mask[seen] > 0
        self.pieces.append(summed(sortable(pixel_map[seen]), np.stack([~odd, odd, shares])))
        self.waiting += len(self.pieces[-1][0])
        if self.waiting > MERGED:
            self.waiting = 0
            self.pieces = [self._merged()]

    def _merged(self) -> Piece:
        keys, counts = zip(*self.pieces, strict=True)
        return summed(np.concatenate(keys), np.concatenate(counts, axis=1))

    def metrics(self) -> PixelMetrics:
        """Of all that was added."""
        columns = self._merged()[1] if self.pieces else np.empty((3, 0))
        normal, odd, shares = (np.concatenate([[0.0], np.cumsum(column[::-1])]) for column in columns)
        if not normal[-1] or not odd[-1]:
            return PixelMetrics(None, None, None)
        precision = odd[1:] / (odd[1:] + normal[1:])
        return PixelMetrics(
            auroc=float(np.trapezoid(odd, normal)) / float(odd[-1] * normal[-1]),
            average_precision=float(np.diff(odd) @ precision) / float(odd[-1]),
            aupro=area_until(normal / normal[-1], shares / shares[-1], FALSE_POSITIVES),
        )


def summed(keys: NDArray[np.uint32], counts: NDArray[np.float64]) -> Piece:
    """Every key once, ascending, with the sums (3, K) of its columns in counts (3, N)."""
    unique, places = np.unique(keys, return_inverse=True)
    return unique, np.stack([np.bincount(places, column, len(unique)) for column in counts])


def sortable(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Integers in the order of float32 scores, without the lowest `DROPPED` bits. NaN has no place in it."""
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)  # -0 becomes 0
    negative = bits >> 31 == 1
    return np.where(negative, ~bits, bits | np.uint32(1 << 31)) >> np.uint32(DROPPED)


def area_until(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> float:
    """Area below a rising curve from x = 0 to `limit`, divided by it; straight between points."""
    inside = x < limit
    ends = np.append(x[inside], limit), np.append(y[inside], np.interp(limit, x, y))
    return float(np.trapezoid(ends[1], ends[0])) / limit
