"""What a sweep's trials tell together: effects that were put in come out, with their doubt."""

from dataclasses import replace

import pytest

from orchestrator.record.state import State
from orchestrator.results.run import sure_winner, sweep_of
from tests.helpers.records import ledger_at, opened, trial_plan
from tests.helpers.sweeps import KEYS, made_sweep
from workloads.scoring.effects import FEWEST


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    _, state = made_sweep(tmp_path_factory.mktemp("storage"), 288, ("3",))
    return sweep_of(state, sure_winner(state).id)


def test_only_keys_that_differ_are_axes(sweep):
    assert set(sweep.axes) == {"batch_size", "weight_decay", "blocks", "pooling", "seed"}  # all with the first noise
    assert len(sweep.courses) == 288
    assert [course.number for course in sweep.courses] == list(range(1, 289))


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


def test_all_keys_of_the_made_sweep_are_keys_of_the_method():
    from workloads.mlsad.config import MLSADConfig

    assert all(hasattr(MLSADConfig(), key) for key in KEYS)
