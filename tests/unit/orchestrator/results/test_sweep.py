"""What a sweep's trials tell together: effects that were put in come out, with their doubt."""

from dataclasses import replace

import pytest

from orchestrator.record.events import RungReached, TrialMoved
from orchestrator.record.state import State
from orchestrator.results.report.captions import CHARTS
from orchestrator.results.report.plots import drawn_sweep
from orchestrator.results.run import sure_winner, sweep_of
from tests.helpers.records import ledger_at, measured, opened, trial_plan
from tests.helpers.sweeps import KEYS, made_sweep
from workloads.scoring.effects import FEWEST


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    _, state = made_sweep(tmp_path_factory.mktemp("storage"), 288, ("3",))
    return sweep_of(state, sure_winner(state).id)


def test_only_keys_that_differ_are_axes(sweep):
    assert set(sweep.axes) == {"batch_size", "weight_decay", "blocks", "pooling", "seed"}  # all with the first noise
    assert len(sweep.courses) == 288
    assert [course.id for course in sweep.courses] == [f"t{number:04d}" for number in range(288)], "in the plan's order"


def test_the_key_that_matters_is_the_important_one(sweep):
    importance = {effect.key: effect.importance for effect in sweep.effects}
    mean, spread = importance.pop("batch_size")
    assert mean - 3 * spread > 0.5
    assert all(abs(mean) < 0.2 for mean, _ in importance.values())
    assert 0.3 < sweep.fit < 1


def test_trials_that_were_stopped_are_compared_too(sweep):
    assert {course.state for course in sweep.courses} == {State.STOPPED, State.FINISHED}
    assert sweep.rung == 500
    assert all(sum(level.points for level in effect.levels) == 288 for effect in sweep.effects)


def test_levels_are_in_their_order_with_an_interval_around_the_mean(sweep):
    (batch,) = [effect for effect in sweep.effects if effect.key == "batch_size"]
    assert [level.value for level in batch.levels] == ["8", "16", "32", "64"]
    means = [level.mean for level in batch.levels]
    assert means == sorted(means)
    for level in batch.levels:
        low, high = level.interval
        assert low < level.mean < high
        assert high - low < 0.03


def test_few_trials_tell_no_importance_and_one_tells_nothing(tmp_path):
    _, state = made_sweep(tmp_path / "few", FEWEST - 1, ("3",))
    few = sweep_of(state, sure_winner(state).id)
    assert {effect.importance for effect in few.effects} == {None}
    assert few.fit is None
    single = replace(opened(), trials=(trial_plan("t", {"noise": 0.1}),))
    assert sweep_of(ledger_at(tmp_path, "single", single)[1].state, "t") is None


@pytest.fixture
def mixed(tmp_path):
    """Makes the state of a run, by its criterion, whose trials ended in all ways; those that did not come to a good end
    had the highest AUROC."""
    ends = {
        "won": (State.FINISHED, {500: 0.6, 1000: 0.7}),
        "beaten": (State.FINISHED, {500: 0.5, 1000: 0.8}),
        "stopped": (State.STOPPED, {500: 0.95}),
        "failed": (State.FAILED, {250: 0.99}),
        "failed_late": (State.FAILED, {500: 0.6, 1000: 0.97}),
    }
    plans = tuple(trial_plan(name, {"noise": number / 10}) for number, name in enumerate(ends))
    events = []
    for name, (end, areas) in ends.items():
        events.append(TrialMoved(name, State.RUNNING))
        for rung, area in areas.items():
            numbers = measured(contrastive=1 - area, oracle=area)
            events.append(RungReached(name, rung, replace(numbers, train_seconds=rung / 100)))
        events.append(TrialMoved(name, end, "out of memory" if end == State.FAILED else ""))

    def made(select_by):
        event = opened(trials=plans)
        event = replace(event, space=event.space | {"select_by": select_by})
        return ledger_at(tmp_path, select_by, event, *events)[1].state

    return made


def test_an_oracle_picks_among_trials_that_reached_the_end(mixed):
    picked = sweep_of(mixed("contrastive"), "won").picked
    assert {by: course.id for by, course in picked.items()} == {"the criterion": "won", "an oracle": "beaten"}


def test_a_trial_that_failed_early_does_not_decide_where_the_others_are_compared(mixed):
    sweep = sweep_of(mixed("contrastive"), "won")
    assert sweep.rung == 500
    (noise,) = sweep.effects
    assert sum(level.points for level in noise.levels) == 4


def test_a_cost_chart_does_not_count_what_failed_as_finished(mixed):
    (chart, _) = drawn_sweep(sweep_of(mixed("contrastive"), "won"), ["cost.svg"])["cost.svg"]
    for label in (b"finished (1)", b"stopped early (1)", b"failed or interrupted (2)"):
        assert label in chart


@pytest.mark.parametrize(("select_by", "marked"), [("contrastive", False), ("oracle", True)])
def test_charts_of_a_sweep_that_test_labels_decided_say_so(select_by, marked, mixed):
    sweep = sweep_of(mixed(select_by), "won")
    for name, (chart, _) in drawn_sweep(sweep, CHARTS).items():
        assert (b"LEAK of test labels" in chart) == marked, name


def test_all_keys_of_the_made_sweep_are_keys_of_the_method():
    from workloads.mlsad.config import MLSADConfig

    assert all(hasattr(MLSADConfig(), key) for key in KEYS)
