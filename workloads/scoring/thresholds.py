"""From scores to decisions: p-values against held-out normal images, and thresholds for a chosen false-alarm rate.

Conformal prediction (Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005): where a fresh normal image
and the n held-out ones are exchangeable, its rank among them is uniform, whatever the detector. Images from another
camera, another day or another product are not exchangeable with them, and then nothing below holds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.errors import UserError

Floats = NDArray[np.float32]
LEVEL = 0.95
"""Of the interval of a threshold's false-alarm rate."""


@dataclass(frozen=True)
class Threshold:
    """An image is anomalous where its score is above `value`; higher = more anomalous.

    false_alarms: the rate that was asked for, in (0, 1); None where labelled defects chose the threshold. expected: the
    rate of fresh normal images that it calls anomalous, on average over held-out sets of `count` images. low, high: the
    interval, at `LEVEL`, of the rate that this held-out set gives. rests_on: what the scores are of, in words.
    """

    value: float
    false_alarms: float | None
    expected: float
    low: float
    high: float
    count: int
    rests_on: str


@dataclass(frozen=True)
class HeldOut:
    """Scores (n,) float32 of normal images that neither trained nor chose the detector. rests_on: which, in words."""

    scores: Floats
    rests_on: str = "held-out normal images"

    @property
    def smallest_rate(self) -> float:
        """The smallest false-alarm rate that so many images support: 1 / (n + 1)."""
        return 1 / (len(self.scores) + 1)

    def p_values(self, scores: Floats) -> NDArray[np.float64]:
        """(N,) in (0, 1]: (1 + held-out scores at or above it) / (n + 1) of each score (N,)."""
        values: NDArray[np.float64] = (1 + self._at_or_above(scores)) / (len(self.scores) + 1)
        return values

    def share_above(self, score: float) -> float:
        """The fraction of held-out scores at or above a score, in [0, 1]; no p-value."""
        return float(self._at_or_above(np.array([score], np.float32))[0]) / len(self.scores)

    def _at_or_above(self, scores: Floats) -> NDArray[np.int64]:
        ordered = np.sort(np.asarray(self.scores, np.float32))
        return len(ordered) - np.searchsorted(ordered, as_scored(scores), side="left")

    def threshold(self, rate: float) -> Threshold:
        """For a false-alarm rate in (0, 1): the lowest value above which p-values are at most the rate.

        The rate got is Beta(k, n + 1 - k) distributed over held-out sets, k = floor(rate * (n + 1)) (Vovk, Conditional
        validity of inductive conformal predictors, 2012), exactly so for scores without ties of images set apart, and
        nearly so for cross-fitted ones. Raises UserError for a rate that so few images do not support.
        """
        if not 0 < rate < 1:
            raise UserError(
                f"a false-alarm rate of {rate:g}", where="false alarms", fix="give more than 0, less than 1"
            )
        n = len(self.scores)
        rank = int(np.floor(rate * (n + 1) * (1 + 1e-12)))  # 0.01 * 100 is a little less than 1
        if rank < 1:
            raise UserError(
                f"a false-alarm rate of {rate:g} needs {int(np.ceil(1 / rate - 1 - 1e-9))} held-out normal images, and "
                f"there are {n}",
                where="false alarms",
                fix=f"the smallest rate that they support is {self.smallest_rate:.4g}"
                if n
                else "launch with calibration_fraction, or hand over normal images that it has not seen",
            )
        value = float(np.sort(as_scored(self.scores))[n - rank])
        return self._at(value, rate, rank)

    def chosen_by(self, defects: Floats) -> Threshold:
        """The threshold that labelled defects' scores (M,) choose: the greatest sum of the caught defects' fraction and
        the passed held-out normals' (Youden's J, 1950), the highest such value. Not conformal: the normals took part in
        the choice, so its interval is a little narrow. Raises UserError where either kind is missing."""
        if not len(self.scores) or not len(defects):
            raise UserError(f"{len(self.scores)} held-out normal images and {len(defects)} defects choose no threshold")
        normal, anomalous = np.sort(as_scored(self.scores)), np.sort(as_scored(defects))
        # Thresholds are scores of normal images, and a value below all of them: "above it" divides them in every way.
        values = np.concatenate([[np.nextafter(normal[0], np.float32(-np.inf))], normal])
        passed = np.searchsorted(normal, values, side="right") / len(normal)
        caught = 1 - np.searchsorted(anomalous, values, side="right") / len(anomalous)
        best = np.flatnonzero(passed + caught == (passed + caught).max())[-1]
        above = int((normal > values[best]).sum())
        rests_on = f"{len(defects)} labelled defects beside {self.rests_on}"
        return self._at(float(values[best]), None, min(above + 1, len(normal)), rests_on)

    def _at(self, value: float, rate: float | None, rank: int, rests_on: str = "") -> Threshold:
        from scipy.stats import beta

        n = len(self.scores)
        low, high = beta.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], rank, n + 1 - rank)
        return Threshold(value, rate, rank / (n + 1), float(low), float(high), n, rests_on or self.rests_on)


@dataclass(frozen=True)
class Predictions:
    """Of N images, in their order. scores: float32, higher = more anomalous, infinite where an image could not be
    scored. p_values: float64 in (0, 1], small for an image that is unlike the normal ones. anomalous: bool."""

    scores: Floats
    p_values: NDArray[np.float64]
    anomalous: NDArray[np.bool_]
    threshold: Threshold


def decided(scores: Floats, threshold: Threshold, held_out: HeldOut) -> Predictions:
    """Decisions on scores (N,) of images."""
    scores = as_scored(scores)
    return Predictions(scores, held_out.p_values(scores), scores > threshold.value, threshold)


def as_scored(scores: Floats) -> Floats:
    """Scores as tables keep them: what is not finite could not be scored, and ranks above all."""
    values = np.asarray(scores, np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.inf))
