"""Which trial a run calls its best, and what is shown and kept of trials, whatever the method and the criterion."""

import pytest
from rich.console import Console

from orchestrator.console.result_view import trials_table
from orchestrator.planning.options import Options
from orchestrator.record.events import RungMetrics
from orchestrator.record.rates import keep_rates, read_rates
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.run import method_of, sure_winner, warnings_of
from tests.helpers.records import opened
from tune_spaces.schema import Resources
from workloads.errors import UserError


def run_of(select_by, **metrics):
    """A run whose trials have all ended, each with its metrics."""
    rungs = {key: {1000: RungMetrics.parse(values)} for key, values in metrics.items()}
    trials = {key: TrialState(key, {}, state=State.FINISHED, rungs=reached) for key, reached in rungs.items()}
    return RunState(opened("flow_digits", Options(preset="smoke", select_by=select_by)), trials)


def test_the_lowest_bits_per_dim_win_and_what_has_none_never_does():
    bits = {key: {"bits_per_dim": value, "contrastive": 0.5} for key, value in (("a", 3.4), ("b", 3.1), ("c", None))}
    assert run_of("likelihood", **bits).winner.id == "b"
    assert run_of("contrastive", a={"contrastive": 0.6}, b={"contrastive": 0.7}).winner.id == "b"
    assert run_of("likelihood", a={"bits_per_dim": None}, b={"bits_per_dim": None}).winner is None


def test_trials_of_which_none_can_be_compared_are_not_called_unfinished():
    state = run_of("contrastive", a={"contrastive": None}, b={"contrastive": None})
    with pytest.raises(UserError, match="no trial can be chosen"):
        sure_winner(state)


def test_of_points_with_several_seeds_the_one_with_the_best_mean_wins():
    """The best single trial is of the other point, by luck."""
    state = run_of(
        "contrastive", **{name: {"contrastive": v} for name, v in zip("abcd", (0.9, 0.5, 0.8, 0.7), strict=True)}
    )
    state.space = state.space.model_copy(update={"seeds": 2})
    for name, point in zip("abcd", ("first", "first", "second", "second"), strict=True):
        state.trials[name].point.update(score=point, seed="abcd".index(name) % 2)
    assert state.winner.id == "c"


def test_one_point_is_given_and_needs_no_criterion():
    assert run_of("contrastive", only={"contrastive": None}).winner.id == "only"


@pytest.mark.parametrize(
    ("select_by", "shown"), [("likelihood", "3.142"), ("contrastive", "0.612"), ("oracle", "0.612")]
)
def test_the_live_table_shows_what_the_winner_is_chosen_by(select_by, shown):
    state = run_of(select_by, a={"bits_per_dim": 3.14159, "contrastive": 0.6123, "oracle": 0.9})
    out = Console(record=True, width=120, file=open("/dev/null", "w"))  # noqa: SIM115
    out.print(trials_table(state, [], {}, 5, 120))
    assert shown in out.export_text()


@pytest.mark.parametrize(("macs", "kept"), [(0.0, None), (4e9, {"rate": 2e8})])
def test_a_run_that_trains_nothing_leaves_no_speed_of_zero(tmp_path, macs, kept):
    state = run_of("contrastive", a={"train_seconds": 20.0, "macs": macs})
    keep_rates(str(tmp_path), "flow_general", "smoke", Resources(), 1, state.trials.values())
    assert read_rates(str(tmp_path), "flow_general", "smoke", Resources()) == kept


def test_a_speed_is_that_of_a_worker_who_waits_for_no_other(tmp_path):
    """Of workers that share batches none is kept; in this process one does the work of them all."""
    trials = run_of("contrastive", a={"train_seconds": 20.0, "macs": 4e9}).trials.values()
    shared = Resources(workers=2, share="batches")
    for workers, rates in ((2, None), (1, {"rate": 2e8})):
        keep_rates(str(tmp_path), "space", "smoke", shared, workers, trials)
        assert read_rates(str(tmp_path), "space", "smoke", shared) == rates


def warned(*options, space="flow_digits", **last):
    event = opened(space, Options(preset="smoke", points=1, set=list(options)))
    state = RunState(event)
    best = TrialState("t", state.space.points()[0], rungs={1000: RungMetrics(**last)})
    return " ".join(warnings_of(state, best, method_of(state, best)))


def test_warnings_say_what_failed_and_what_compares_with_nothing():
    assert "photo_tiles, and not the published 80 Million Tiny Images" in warned()
    assert "2 images or groups of 3 could not be scored: ranked above all scores" in warned(failed={"3": 2})
    assert "Tiny Images" not in warned(space="flow_cifar10") + warned(space="sweep_digits")
    assert "the general flow as it is" in warned(space="flow_general")
