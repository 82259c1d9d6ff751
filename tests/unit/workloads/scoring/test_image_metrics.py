"""Average precision, best F1 and FPR at 95 % recall against scikit-learn and against counting by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from workloads.scoring.image_metrics import image_metrics, image_numbers
from workloads.scoring.table import FAILED, WHOLE, join, rows


def drawn(seed, normal=60, anomalous=25, levels=None):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(0, 1, normal), rng.normal(1, 2, anomalous)])
    if levels:
        scores = np.round(scores * levels) / levels  # ties
    order = rng.permutation(len(scores))
    return scores[order], np.repeat([False, True], [normal, anomalous])[order]


SETS = [drawn(seed, levels=levels) for seed in range(5) for levels in (None, 2, 0.5)]


@pytest.mark.parametrize(("scores", "anomalous"), SETS)
def test_average_precision_is_scikit_learns(scores, anomalous):
    assert image_metrics(scores, anomalous).average_precision == pytest.approx(
        average_precision_score(anomalous, scores), abs=1e-12
    )


@pytest.mark.parametrize(("scores", "anomalous"), SETS)
def test_best_f1_is_the_largest_of_scikit_learns_over_all_thresholds(scores, anomalous):
    largest = max(f1_score(anomalous, scores >= threshold) for threshold in np.unique(scores))
    assert image_metrics(scores, anomalous).best_f1 == pytest.approx(largest, abs=1e-12)


@pytest.mark.parametrize(("scores", "anomalous"), SETS)
def test_fpr95_is_that_of_the_strictest_threshold_that_keeps_95_percent(scores, anomalous):
    keeping = [t for t in np.unique(scores) if (scores[anomalous] >= t).mean() >= 0.95]
    assert image_metrics(scores, anomalous).fpr95 == (scores[~anomalous] >= max(keeping)).mean()


def test_exactly_95_percent_are_enough():
    scores = np.concatenate([np.arange(1, 21), [0.5, 0.6, 1.5, 30]])  # one anomaly of twenty lies below the threshold 2
    assert image_metrics(scores, np.repeat([True, False], [20, 4])).fpr95 == 0.25


def test_scores_that_separate_are_perfect_and_upside_down_ones_are_not():
    anomalous = np.repeat([False, True], 10)
    assert image_metrics(np.arange(20), anomalous) == (1, 1, 0)
    upside_down = image_metrics(-np.arange(20), anomalous)
    assert (upside_down.best_f1, upside_down.fpr95) == (pytest.approx(2 / 3), 1)


def test_a_class_that_is_absent_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        image_metrics([1.0, 2.0], [True, True])


def table_of(target, split, anomalous, scores):
    ids = [f"{split}/{number}" for number in range(len(scores))]
    return rows(target, split, WHOLE, ids, ["x"] * len(ids), np.array(anomalous), np.array(scores, np.float32))


def two_targets(*more):
    test = [table_of(t, "test", [False, False, True, True], s) for t, s in (("a", [0, 2, 1, 3]), ("b", [0, 1, 2, 3]))]
    return join([*test, *more])


def test_numbers_are_called_as_the_auroc_over_the_same_images():
    out = [table_of(target, "out/noise", [True], [1]) for target in "ab"]
    numbers = image_numbers(two_targets(*out))
    assert numbers["average_precision/a"] == pytest.approx((1 + 2 / 3) / 2)
    assert numbers["average_precision/mean"] == pytest.approx(np.mean([(1 + 2 / 3) / 2, 1]))
    assert (numbers["best_f1/a"], numbers["fpr95/a"], numbers["fpr95/b"]) == (pytest.approx(0.8), 0.5, 0)
    assert numbers["fpr95_out/noise/a"] == 0.5
    assert numbers["average_precision_out/noise/mean"] == numbers["average_precision_out/mean"]


def test_the_mean_of_a_whole_dataset_is_over_its_out_sets():
    out = [table_of("a", f"out/{name}", [True], [score]) for name, score in (("near", 1), ("far", 9))]
    numbers = image_numbers(join([table_of("a", "test", [False, False, True], [0, 2, 5]), *out]), pooled=True)
    assert numbers["average_precision/mean"] == numbers["average_precision_out/mean"] == pytest.approx((1 / 2 + 1) / 2)
    assert numbers["average_precision/a"] == 1


def test_numbers_are_undefined_where_the_auroc_is():
    table = join([table_of("a", "test", [False, False], [0, 1]), table_of("b", "test", [False, True], [0, FAILED])])
    assert set(image_numbers(table).values()) == {None}
