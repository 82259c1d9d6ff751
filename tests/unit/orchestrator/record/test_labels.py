"""Words for MLflow: short where they can be, and apart from each other."""

from dataclasses import replace

import pytest

from orchestrator.record.labels import (
    compare_page,
    params_of,
    run_name,
    run_page,
    runs_page,
    server_of,
    short_names,
    short_value,
    source_tags,
    table_lines,
    trial_names,
)
from tests.helpers.records import ledger_at, opened, trial_plan


def test_keys_are_as_short_as_tells_them_apart():
    names = short_names(["batch_size", "lambda_structure", "lambda_position", "noise"])
    assert names == {
        "batch_size": "batch",
        "lambda_structure": "lambda structure",
        "lambda_position": "lambda position",
        "noise": "noise",
    }
    assert short_names(["crop", "crop_size"]) == {"crop": "crop", "crop_size": "crop size"}


@pytest.mark.parametrize(("value", "text"), [(0.05, ".05"), (1.0, "1"), (8, "8"), ("mean", "mean"), (5e-5, "5e-05")])
def test_values_are_written_as_people_do(value, text):
    assert short_value(value) == text


def test_a_single_trial_is_named_by_its_space_and_has_the_spaces_keys(tmp_path):
    state = ledger_at(tmp_path, "run", opened(trials=(trial_plan("t", {"noise": 0.1}),)))[1].state
    assert trial_names(state) == {"t": "#1 sweep_digits"}
    assert params_of(state, state.trials["t"]) == {**state.space.fixed, "noise": 0.1}


@pytest.mark.parametrize(("seeds", "text"), [((0, 1, 2), "3 seeds"), ((7,), "seed 7"), ((), "seed 0")])
def test_a_run_is_named_by_the_seeds_of_its_trials(seeds, text, tmp_path):
    plans = tuple(trial_plan(f"t{seed}", {"seed": seed}) for seed in seeds) or (trial_plan(),)
    state = ledger_at(tmp_path, "run", opened(trials=plans))[1].state
    assert run_name(state, "run") == f"sweep_digits · smoke · {text} · run"


@pytest.mark.parametrize(
    ("select_by", "trials", "leak"), [("oracle", 2, True), ("oracle", 1, False), ("contrastive", 2, False)]
)
def test_only_a_choice_by_test_labels_is_tagged_as_a_leak(select_by, trials, leak, tmp_path):
    event = opened(trials=tuple(trial_plan(f"t{number}", {"noise": number}) for number in range(trials)))
    event = replace(event, space=event.space | {"select_by": select_by})
    tags = source_tags(ledger_at(tmp_path, "run", event)[1].state)
    assert ("leak" in tags) == leak
    assert tags["selection"] == event.space["select_by"]


def test_links_open_the_right_view_of_a_server_or_within_it():
    right = "http://a:5000/#/experiments/1/runs/r?workflowType=machine_learning"
    assert run_page(server_of("http://anna:secret@a:5000/"), "1", "r") == right
    assert run_page(server_of("sqlite:///x.db"), "1", "r").startswith("/#/experiments/1")
    assert runs_page(server_of("sqlite:///x.db", "http://b"), "1").startswith("http://b/#/experiments/1/runs?")
    assert compare_page("http://a", "1", ["x", "y"]).startswith(
        "http://a/#/compare-runs?runs=%5B%22x%22%2C%20%22y%22%5D"
    )


def test_a_wide_table_shows_its_mean_alone_and_a_leak_says_so():
    heads = ",".join(["name", "kind", "leak", "note", *(f"class {i}" for i in range(50)), "mean"])
    row = ",".join(["a|b", "measured", "true", "", *["0.5"] * 50, "0.75"])
    assert table_lines(f"{heads}\n{row}\n") == [
        "|  | kind | mean |",
        "|---|---|---:|",
        "| a\\|b (LEAK of test labels) | measured | .750 |",
    ]
