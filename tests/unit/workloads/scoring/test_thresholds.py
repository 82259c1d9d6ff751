"""p-values and thresholds against their definitions, and the false-alarm rates that they give."""

import numpy as np
import pytest
from scipy.stats import beta

from workloads.errors import UserError
from workloads.scoring.thresholds import HeldOut, decided

NORMALS = HeldOut(np.arange(1, 100, dtype=np.float32))  # 1 to 99


def test_a_p_value_counts_the_held_out_scores_at_or_above_it():
    scores = np.array([0, 1, 50, 98.5, 99, 100, np.nan, np.inf], np.float32)
    expected = [(1 + sum(held >= score for held in NORMALS.scores)) / 100 for score in scores[:6]]
    assert NORMALS.p_values(scores).tolist() == pytest.approx([*expected, 0.01, 0.01])


@pytest.mark.parametrize("count", [1, 19, 99, 100, 137])
@pytest.mark.parametrize("rate", [0.01, 0.05, 1 / 3, 0.5, 0.99])
def test_a_decision_is_a_p_value_of_at_most_the_rate(count, rate):
    generator = np.random.default_rng(count)
    held = HeldOut(generator.integers(0, 50, count).astype(np.float32))  # with ties
    scores = np.arange(-1, 52, dtype=np.float32)
    if rate < held.smallest_rate - 1e-12:
        with pytest.raises(UserError, match="held-out normal images, and there are"):
            held.threshold(rate)
        return
    made = decided(scores, held.threshold(rate), held)
    assert made.anomalous.tolist() == (made.p_values <= rate + 1e-12).tolist()


def test_a_rate_that_is_not_supported_names_how_many_it_needs_and_the_smallest_that_is():
    with pytest.raises(UserError) as caught:
        HeldOut(np.zeros(28, np.float32)).threshold(0.01)
    assert caught.value.headline == "a false-alarm rate of 0.01 needs 99 held-out normal images, and there are 28"
    assert caught.value.fix == "the smallest rate that they support is 0.03448"
    assert HeldOut(np.arange(99, dtype=np.float32)).threshold(0.01).value == 98
    for rate in (0, 1, -0.1, 1.5):
        with pytest.raises(UserError, match="false-alarm rate"):
            NORMALS.threshold(rate)


def test_the_rates_that_thresholds_give_are_distributed_as_their_interval_says():
    generator = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        threshold = HeldOut(generator.random(199).astype(np.float32)).threshold(0.05)
        rates.append(1 - threshold.value)  # of scores that are uniform
    expected = beta(10, 190)
    assert np.mean(rates) == pytest.approx(0.05, abs=4 * expected.std() / 20)
    assert (threshold.low, threshold.high) == pytest.approx(expected.ppf([0.025, 0.975]))
    assert np.mean([threshold.low <= rate <= threshold.high for rate in rates]) == pytest.approx(0.95, abs=0.04)


def test_labelled_defects_choose_the_threshold_that_tells_them_best_from_normals():
    normals = HeldOut(np.array([1, 2, 3, 4, 10], np.float32))
    threshold = normals.chosen_by(np.array([3.5, 5, 6, 7], np.float32))
    # Above 4: 4/5 of the normals pass, 3/4 of the defects are caught: 1.55. Above 3: 3/5 and all: 1.6.
    assert threshold.value == 3
    assert threshold.false_alarms is None
    assert "4 labelled defects" in threshold.rests_on
    assert threshold.expected == pytest.approx(3 / 6)
    with pytest.raises(UserError, match="0 defects"):
        normals.chosen_by(np.zeros(0, np.float32))
