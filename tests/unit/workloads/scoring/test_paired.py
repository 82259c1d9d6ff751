"""Paired tests: the difference of two AUROCs, its variance by simulation, and a level that is kept."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from workloads.scoring.intervals import delong
from workloads.scoring.paired import Difference, difference, mean_difference, wilcoxon_p


def scores(seed, shifts=(1.0, 1.0), images=(60, 80), shared=0.8):
    """(2, n) and (2, m) of two detectors that go together."""
    random = np.random.default_rng(seed)
    made = []
    for count, move in zip(images, (0.0, 1.0), strict=True):
        common = random.normal(size=count)
        own = random.normal(size=(2, count))
        made.append(shared * common + (1 - shared**2) ** 0.5 * own + move * np.array(shifts)[:, None])
    return made


def test_the_difference_is_that_of_the_aurocs():
    normal, anomalous = scores(0, (0.5, 1.5))
    labels = np.repeat([0, 1], [60, 80])
    areas = [roc_auc_score(labels, np.concatenate([n, a])) for n, a in zip(normal, anomalous, strict=True)]
    result = difference(normal, anomalous)
    assert result.value == pytest.approx(areas[0] - areas[1])
    assert result.images == (60, 80)
    low, high = result.interval
    assert low < result.value < high < 0
    assert result.p < 0.001


def test_the_variance_is_that_of_repeated_draws_and_the_level_is_kept():
    results = [difference(*scores(seed)) for seed in range(2000)]
    values = np.array([item.value for item in results])
    assert np.mean([item.variance for item in results]) == pytest.approx(values.var(), rel=0.1)
    assert 0.035 < np.mean([item.p < 0.05 for item in results]) < 0.065


def test_against_a_detector_that_tells_nothing_the_variance_is_delongs():
    normal, anomalous = scores(3)
    normal[1], anomalous[1] = 0.0, 0.0  # all images tie
    result = difference(normal, anomalous)
    area, variance = delong(normal[0], anomalous[0])
    assert result.value == pytest.approx(area - 0.5)
    assert result.variance == pytest.approx(variance)


def test_the_same_scores_differ_in_nothing():
    normal, anomalous = scores(1)
    same = difference(normal[[0, 0]], anomalous[[0, 0]])
    assert (same.value, same.p, same.interval) == (0, 1, (0, 0))


def test_means_over_classes_and_wilcoxon():
    several = [Difference(value, 0.0004) for value in (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)]
    mean = mean_difference(several)
    assert mean.value == pytest.approx(0.035)
    assert mean.variance == pytest.approx(0.0004 / 6)
    assert wilcoxon_p(several) == pytest.approx(stats.wilcoxon([item.value for item in several]).pvalue)
    assert wilcoxon_p(several[:5]) is None
    assert wilcoxon_p([Difference(0.0, 0.1)] * 8) is None
