"""How far an AUROC may be off for the number of test images alone: confidence intervals that were chosen by simulation.

The interval is that of a proportion (Jeffreys', Brown, Cai and DasGupta, 2001) on an effective number of images,
A (1 - A) / V, where V is DeLong's variance (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988, by the placements
of Sun and Xu, 2014). Near 1 so few images stand on the wrong side that V is far too small, so an effective number above
`MOST_EFFECTIVE` times the smaller sample is not believed. Where the scores separate the classes fully, V is 0, and the
bound is the exact binomial one (Clopper and Pearson) on the smaller sample. `docs/numbers.md` has the coverage of this
and of its rivals; `tests/benchmarks/intervals.py` makes that table.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Floats = NDArray[np.float64]
Interval = tuple[float, float]

MOST_EFFECTIVE = 2.0
"""What two equal samples of exponential scores come to as the AUROC approaches 1 (Hanley and McNeil, 1982)."""


def delong(normal: Floats, anomaly: Floats) -> tuple[float, float]:
    """The AUROC of scores (n,) and (m,) and DeLong's variance of it; n and m are 2 or more."""
    normal, anomaly = np.sort(normal), np.sort(anomaly)
    wins, losses = placements(anomaly, normal), 1 - placements(normal, anomaly)
    return float(wins.mean()), float(wins.var(ddof=1) / len(anomaly) + losses.var(ddof=1) / len(normal))


def placements(scores: Floats, reference: Floats) -> Floats:
    """(N,) share of the sorted reference below each score, ties one half."""
    both = np.searchsorted(reference, scores, "left") + np.searchsorted(reference, scores, "right")
    return both / (2 * len(reference))


def bounds(area: Floats, variance: Floats, smaller: int, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper ends, (B,) each, of two-sided intervals of AUROCs (B,) with DeLong's variances (B,).

    smaller: images of the class that has fewer.
    """
    tail = (1 - confidence) / 2
    inside = (area > 0) & (area < 1) & (variance > 0)
    limit = MOST_EFFECTIVE * smaller
    count = np.minimum(np.divide(area * (1 - area), variance, out=np.full_like(area, limit), where=inside), limit)
    low, high = (betaincinv(area * count + 0.5, (1 - area) * count + 0.5, share) for share in (tail, 1 - tail))
    exact = tail ** (1 / smaller)
    low = np.select([area >= 1, area <= 0], [exact, 0.0], low)
    return low, np.select([area >= 1, area <= 0], [1.0, 1 - exact], high)


def interval_of(normal: Floats, anomaly: Floats, confidence: float = 0.95) -> Interval | None:
    """Two-sided interval of the AUROC of two samples of scores, (n,) and (m,); None with fewer than two in either.

    It covers the drawing of the test images alone, not the seed of the training. Raises ValueError for a confidence
    outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie inside (0, 1), found {confidence}")
    smaller = min(len(normal), len(anomaly))
    if smaller < 2:
        return None
    area, variance = delong(normal, anomaly)
    low, high = bounds(np.array([area]), np.array([variance]), smaller, confidence)
    return float(low[0]), float(high[0])


def mean_interval(
    parts: Iterable[tuple[float | None, Interval | None]], *, independent: bool = True
) -> Interval | None:
    """The interval of the mean over the defined AUROCs, from (AUROC, interval) of every class or column.

    independent: whether the errors count as such, given the training. Then the distances to the ends are squared and
    added (Newcombe, 1998; Zou and Donner, 2008); else they are added, as if all errors went the same way. None where
    nothing is defined, or something defined has no interval.
    """
    defined = [(area, interval) for area, interval in parts if area is not None]
    if not defined or any(interval is None for _, interval in defined):
        return None
    areas, ends = np.array([area for area, _ in defined]), np.array([interval for _, interval in defined])
    distances = np.abs(ends - areas[:, None])
    reach = (np.sqrt((distances**2).sum(axis=0)) if independent else distances.sum(axis=0)) / len(areas)
    return float(areas.mean() - reach[0]), float(areas.mean() + reach[1])
