"""Whether two detectors that scored the same images differ by more than the number of images explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from workloads.scoring.intervals import Interval, placements

FEWEST_SEEDS = 2
FEWEST_CLASSES = 6
"""Below which Wilcoxon's test of two-sided significance cannot reach .05."""


@dataclass(frozen=True)
class Difference:
    """AUROC of the first detector less that of the second. interval: 95 %. p: two-sided, of no difference; 1 where both
    order the images alike. images: normal and anomalous ones."""

    value: float
    variance: float
    images: tuple[int, int] = (0, 0)

    @property
    def interval(self) -> Interval:
        reach = float(ndtri(0.975)) * self.variance**0.5
        return self.value - reach, self.value + reach

    @property
    def p(self) -> float:
        if self.variance <= 0:
            return 0.0 if self.value else 1.0
        return float(2 * ndtr(-abs(self.value) / self.variance**0.5))


@dataclass(frozen=True)
class OverSeeds:
    """Mean difference of two ways to train over the seeds that both were trained with, and its variance. interval:
    95 %. p: two-sided, of no difference, by the paired t-test; 1 where all seeds agree that there is none, and None
    where they agree on a difference, for then nothing is known of its spread."""

    value: float
    variance: float
    seeds: int

    @property
    def interval(self) -> Interval:
        reach = float(stdtrit(self.seeds - 1, 0.975)) * self.variance**0.5
        return self.value - reach, self.value + reach

    @property
    def p(self) -> float | None:
        if self.variance <= 0:
            return None if self.value else 1.0
        return float(2 * stdtr(self.seeds - 1, -abs(self.value) / self.variance**0.5))


def over_seeds(first: Mapping[int, float], second: Mapping[int, float]) -> OverSeeds | None:
    """The first less the second, numbers by seed; None where fewer than two seeds have both.

    Seeds go together, for they stand for the same draws, and count as drawn at random. The test covers them, and not
    the drawing of the images."""
    values = np.array([first[seed] - second[seed] for seed in first if seed in second])
    if len(values) < FEWEST_SEEDS:
        return None
    return OverSeeds(float(values.mean()), float(values.var(ddof=1) / len(values)), len(values))


def difference(normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> Difference:
    """Of two detectors on the same images: scores (2, n) of normal and (2, m) of anomalous ones, n and m 2 or more.

    The test is that of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), which counts that scores of one image
    go together. It covers the drawing of the images alone, not the seed of the training.
    """
    normal, anomalous = np.asarray(normal, float), np.asarray(anomalous, float)
    wins = [placements(a, np.sort(n)) for n, a in zip(normal, anomalous, strict=True)]
    losses = [1 - placements(n, np.sort(a)) for n, a in zip(normal, anomalous, strict=True)]
    ahead, behind = wins[0] - wins[1], losses[0] - losses[1]
    variance = float(ahead.var(ddof=1) / len(ahead) + behind.var(ddof=1) / len(behind))
    return Difference(float(ahead.mean()), variance, (len(behind), len(ahead)))


def mean_difference(differences: Sequence[Difference]) -> Difference:
    """Of the means over classes, whose errors count as independent, given the training."""
    count = len(differences)
    value, variance = sum(d.value for d in differences), sum(d.variance for d in differences)
    return Difference(value / count, variance / count**2)


def wilcoxon_p(differences: Sequence[Difference]) -> float | None:
    """Wilcoxon's signed-rank test over the classes (Demšar, 2006), two-sided; None for few classes or no difference."""
    from scipy.stats import wilcoxon  # half a second

    values = [item.value for item in differences]
    if len(values) < FEWEST_CLASSES or not any(values):
        return None
    return float(wilcoxon(values).pvalue)
