"""Whether images score as the held-out normal ones do, as a whole and over their order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.scoring.thresholds import HeldOut, as_scored

FEWEST = 20
"""Images, and held-out ones, below which nothing is said of a shift."""
SURE = 0.01
PIECES = 10


@dataclass(frozen=True)
class Shift:
    """distance: of Kolmogorov and Smirnov between the two sets' scores, in [0, 1]; p_value: of a two-sample test of it.
    above: of successive tenths of the images, the fraction that scores above the held-out normals' median: about a half
    each where nothing has changed and few are anomalous. trend: Spearman's correlation of score and order, in [-1, 1],
    and trend_p its p-value."""

    distance: float
    p_value: float
    above: tuple[float, ...]
    trend: float
    trend_p: float

    @property
    def remarks(self) -> list[str]:
        """What a reader must know, in sentences; none where nothing stands out."""
        lines = []
        tenths = ", ".join(f"{part:.2f}" for part in self.above)
        if self.p_value < SURE:
            lines.append(
                "these images do not score as the held-out normal ones do (Kolmogorov-Smirnov distance "
                f"{self.distance:.2f}, p = {self.p_value:.1g}): either many are anomalous, or camera, light or product "
                "have changed, and then neither p-values nor the false-alarm rate hold"
            )
        if self.trend_p < SURE:
            way = "rise" if self.trend > 0 else "fall"
            lines.append(
                f"scores {way} with the order of the images (Spearman {self.trend:+.2f}, p = {self.trend_p:.1g}); "
                f"above the held-out normals' median, by tenth: {tenths}"
            )
        return lines


def shift_of(scores: Sequence[float] | NDArray[np.float32], held_out: HeldOut) -> Shift | None:
    """Of scores in the order of their images; None where either side has fewer than `FEWEST`."""
    from scipy.stats import ks_2samp, spearmanr

    values, normals = as_scored(np.asarray(scores, np.float32)), as_scored(held_out.scores)
    if min(len(values), len(normals)) < FEWEST:
        return None
    test = ks_2samp(values, normals)
    pieces = np.array_split(values > np.median(normals), PIECES)
    above = tuple(float(piece.mean()) for piece in pieces)
    if len(np.unique(values)) == 1:
        return Shift(float(test.statistic), float(test.pvalue), above, 0.0, 1.0)
    trend = spearmanr(np.arange(len(values)), values)
    return Shift(float(test.statistic), float(test.pvalue), above, float(trend.statistic), float(trend.pvalue))
