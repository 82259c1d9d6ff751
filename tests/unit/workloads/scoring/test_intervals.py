"""Intervals cover the true value about as often as they say, near 1 as well; see tests/benchmarks/intervals.py."""

import numpy as np
import pytest

from tests.benchmarks.intervals import DRAWS, delongs
from workloads.scoring.intervals import bounds, interval_of, mean_interval
from workloads.scoring.metrics import auroc, whole_intervals
from workloads.scoring.table import WHOLE, join, rows

DRAWN = 1500


@pytest.mark.parametrize("way", DRAWS)
@pytest.mark.parametrize(("sizes", "level"), [((20, 20), 0.99), ((50, 50), 0.999), ((90, 310), 0.99), ((50, 50), 0.8)])
def test_intervals_cover_the_truth_whatever_the_scores_are_drawn_from(way, sizes, level):
    random = np.random.default_rng(1)
    normal, anomaly, truth = DRAWS[way](random, level, *((DRAWN, size) for size in sizes))
    low, high = bounds(*delongs(normal, anomaly), min(sizes))
    assert ((low <= truth) & (truth <= high)).mean() > 0.92
    assert (truth < low).mean() < 0.06, "on the flattering side"


def test_full_separation_leaves_a_doubt_that_shrinks_with_the_smaller_sample():
    separated = {n: interval_of(np.arange(n, dtype=float), np.arange(n, dtype=float) + n) for n in (2, 20, 200)}
    assert [high for _, high in separated.values()] == [1.0, 1.0, 1.0]
    assert separated[20][0] == pytest.approx(0.025 ** (1 / 20))
    assert separated[2][0] < separated[20][0] < separated[200][0] < 1
    low, high = interval_of(np.arange(20.0) + 20, np.arange(20.0))
    assert (low, high) == (0.0, pytest.approx(1 - separated[20][0]))


def test_an_interval_holds_its_auroc_and_turns_over_with_the_scores():
    random = np.random.default_rng(2)
    for shift in (0.0, 1.0, 3.0, 30.0):
        scores = np.concatenate([random.normal(size=25), random.normal(shift, 1, 40)]).round(1)
        marks = np.repeat([False, True], [25, 40])
        low, high = interval_of(scores[:25], scores[25:])
        assert 0 <= low <= auroc(scores, marks) <= high <= 1
        assert interval_of(-scores[:25], -scores[25:]) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_what_could_not_be_scored_ranks_above_all_scores_and_is_no_fault_of_the_interval():
    normal, anomaly = np.array([0.0, 1.0, np.inf, 2.0]), np.array([1.5, np.inf, 3.0, 4.0])
    low, high = interval_of(normal, anomaly)
    assert 0 < low < auroc([*normal, *anomaly], [0] * 4 + [1] * 4) < high < 1


def test_the_means_interval_is_narrower_than_the_classes_and_undefined_where_one_of_them_is():
    parts = [(0.9, (0.8, 0.95))] * 4
    assert mean_interval(parts) == pytest.approx((0.85, 0.925))
    assert mean_interval(parts, independent=False) == pytest.approx((0.8, 0.95))
    assert mean_interval([*parts, (None, None)]) == mean_interval(parts)
    assert mean_interval([*parts, (1.0, None)]) is None
    assert mean_interval([]) is None


def test_a_tables_intervals_have_the_names_of_its_numbers():
    random = np.random.default_rng(3)
    blocks = []
    for target in ("3", "8"):
        marks = np.arange(40) % 2 == 0
        ids = [str(i) for i in range(40)]
        blocks.append(rows(target, "test", WHOLE, ids, ["any"] * 40, marks, random.normal(size=40) + marks))
        blocks.append(rows(target, "out/noise", WHOLE, ids, ["noise"] * 40, np.ones(40, bool), random.normal(1, 1, 40)))
    table = join(blocks)
    intervals = whole_intervals(table)
    assert set(intervals) == {
        *("auroc/3", "auroc/8", "auroc/mean"),
        *("auroc_out/noise/3", "auroc_out/noise/8", "auroc_out/noise/mean", "auroc_out/mean"),
    }
    widths = {name: high - low for name, (low, high) in intervals.items()}
    assert widths["auroc/mean"] < min(widths["auroc/3"], widths["auroc/8"])
    assert widths["auroc_out/mean"] == pytest.approx(widths["auroc_out/noise/mean"])
    apart = [widths["auroc_out/noise/3"], widths["auroc_out/noise/8"]]
    assert widths["auroc_out/noise/mean"] == pytest.approx(np.mean(apart)), "all targets share the set's images"
