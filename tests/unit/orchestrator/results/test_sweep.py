"""Points that were trained with several seeds, beside the winner's."""

from dataclasses import replace

import pytest
from scipy.stats import ttest_rel

from orchestrator.console.output import console
from orchestrator.console.result_view import print_repeated
from orchestrator.planning.options import Options
from orchestrator.record.events import RungMetrics
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.comparison import seeds_of
from orchestrator.results.report.tables import repeated_table
from orchestrator.results.sweep import repeated_points
from tests.helpers.records import opened
from workloads.scoring.paired import over_seeds

GOOD, BAD, ONCE = (0.9, 0.92, 0.91), (0.8, 0.85, 0.84), (0.99,)


def points():
    areas = {0.1: BAD, 0.2: GOOD, 0.3: ONCE}
    trials = [({"noise": noise, "seed": seed}, area) for noise, a in areas.items() for seed, area in enumerate(a)]
    return repeated_points([*trials, ({"noise": 0.3, "seed": 1}, None)], {"noise": 0.2, "seed": 1})


def test_points_with_several_seeds_have_mean_spread_and_a_paired_test_with_the_winner():
    winner, other = points()
    assert (winner.point, other.point) == ("noise=0.2", "noise=0.1")
    assert winner.mean == pytest.approx(0.91)
    assert winner.spread == pytest.approx(0.01)
    assert winner.less is None
    assert other.less.value == pytest.approx(0.08)
    assert other.less.p == pytest.approx(ttest_rel(GOOD, BAD).pvalue)


def test_the_interval_is_that_of_the_paired_test():
    less = over_seeds(dict(enumerate(GOOD)), dict(enumerate(BAD)))
    expected = ttest_rel(GOOD, BAD).confidence_interval()
    assert less.interval == pytest.approx((expected.low, expected.high))


def test_seeds_that_one_point_alone_has_are_left_out():
    less = over_seeds({0: 0.9, 1: 0.8, 2: 0.7}, {1: 0.7, 2: 0.65, 3: 0.1})
    assert less.seeds == 2
    assert less.value == pytest.approx(0.075)
    assert over_seeds({0: 0.9}, {0: 0.8}) is None


def test_equal_numbers_differ_by_nothing():
    assert over_seeds({0: 0.9, 1: 0.8}, {0: 0.9, 1: 0.8}).p == 1


def test_tables_show_them(capsys):
    assert "| 3 | .910 | .010 | – | – | – | noise=0.2 |" in repeated_table(points())
    print_repeated(console(plain=True), points())
    printed = capsys.readouterr().out
    assert "+.080 +.037 to +.123 .015 noise=0.1" in printed


def test_runs_are_compared_over_the_seeds_of_their_winners_points():
    left, right = (run_of(areas) for areas in (GOOD, BAD))
    assert seeds_of(left, right).p == pytest.approx(ttest_rel(GOOD, BAD).pvalue)
    assert seeds_of(left, run_of(GOOD[:1])) is None
    right.opening = replace(right.opened, targets=("another",))
    assert seeds_of(left, right) is None


def run_of(areas):
    """A run of a point and its seeds, whose test AUROC these are, and of another point that is worse."""
    state = RunState(opened("flow_digits", Options(preset="smoke", seeds=3)))
    for point, bonus in (("best", 0.5), ("other", 0.0)):
        for seed, area in enumerate(areas):
            rungs = {1000: RungMetrics({"contrastive": bonus, "bits_per_dim": 3 - bonus, "oracle": area})}
            trial = TrialState(f"{point}{seed}", {"score": point, "seed": seed}, state=State.FINISHED, rungs=rungs)
            state.trials[trial.id] = trial
    return state
