"""What a report is made of, from a ledger's state alone."""

from orchestrator.planning.options import Options, load_space
from orchestrator.record.state import RunState, TrialState
from orchestrator.results.run import per_class_of, table_of
from tests.helpers.records import measured, opened


def run_of(space, targets, **metrics):
    """A run of a built-in space with one trial that reached the end."""
    _, resolved, _ = load_space(space, Options(preset="smoke"))
    point = resolved.points()[0]
    trial = TrialState("t", point, rungs={1000: measured(**metrics)})
    return RunState(opened(space, targets=targets), {"t": trial}), trial


def test_groups_are_called_groups_and_never_rivals_of_single_images():
    state, trial = run_of("klods_digits", ("3", "8"), **{"auroc/3": 0.9, "auroc/8": 1.0, "auroc/mean": 0.95})
    groups, nearest = table_of(state, trial, {"5-NN": {"3": 0.9, "8": 0.9}}).rows
    assert groups.name == "KLODS, groups of 5"
    assert "of single images" in nearest.note
    state, trial = run_of("sweep_digits", ("3",), **{"auroc/3": 0.9, "auroc/mean": 0.9})
    images, nearest = table_of(state, trial, {"5-NN": {"3": 0.9}}).rows
    assert images.name == "MLSAD"
    assert "single" not in nearest.note


def test_trials_of_a_whole_dataset_are_shown_by_the_report_s_out_sets():
    metrics = {"auroc/fashion_mnist": None, "auroc_out/digits/mean": 0.7, "auroc_out/noise/mean": 1.0}
    state, trial = run_of("klods_fashion_digits", ("fashion_mnist",), **metrics)
    assert per_class_of(trial, state) == {"DIGITS": 0.7, "Noise": 1.0}
    trial.rungs = {500: measured(**metrics)}
    assert per_class_of(trial, state) == {}
