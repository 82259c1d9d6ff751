"""Runs of the first format are read in today's words, and go on as what they are."""

import json

import pytest

from orchestrator.record.events import Launched, Outcome, State
from orchestrator.record.format_1 import upgrade_space
from orchestrator.record.heartbeat import life_of
from orchestrator.record.ledger import Ledger, fold, read_events, segments
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import names, open_run
from workloads.errors import UserError
from workloads.units import ImageShape

SPACE = {
    "workload": "flow",
    "data": {
        "name": "digits",
        "side": 16,
        "general": [{"name": "photo_tiles", "path": None, "max_images": 128, "val_fraction": 0.2, "seed": 0}],
    },
    "fixed": {"batch_size": 16},
    "axes": {"lr": [0.001, 0.01]},
    "select_by": "contrastive",
    "resources": {"workers": 2, "min_workers": 1, "split": "data"},
    "presets": {"smoke": {"config": {}, "max_general_images": 128}},
    "preset": "smoke",
}
METRICS = {
    "budget": 500,
    "train_seconds": 1.5,
    "macs": 1e6,
    "seconds": {"detector/3/whole": 0.5},
    "contrastive": 0.75,
    "auroc/mean": None,
    "levels": {"whole": {"3": 0.5}},
    "own": {"3/whole": 1.0},
    "not_learned": [["3", "whole", 0.5]],
    "failed": {"3": 1},
    "failed_scores": 1,
}
LINES = [
    {
        "event": "opened",
        "uid": "u",
        "name": "flow_digits",
        "doc": "",
        "source": "flow_digits.py",
        "space": SPACE,
        "preset": "smoke",
        "schedule": "own",
        "dataset": "digits",
        "targets": ["3"],
        "counts": {"train": 10},
        "shape": {"channels": 1, "side": 16, "images": 58, "general": 100},
        "identity": {"data": "d", "code": "c"},
        "planned_seconds": {"detector/whole": 2.5},
        "data_dir": "data",
        "tracking_uri": None,
        "trials": [{"id": "a", "point": {"lr": 0.001}, "config": {"lr": 0.001}, "stages": {"general_flow": "k"}}],
        "provenance": {"command": "launch", "git_commit": "", "python": "3.11", "hardware": "x", "version.ray": "2.60"},
    },
    {"event": "launched", "command": "launch"},
    {"event": "stage", "unit": "general_flow", "key": "k", "found": False, "seconds": 3.0, "steps": 8},
    {"event": "stage", "unit": "other", "key": "l", "found": True},
    {"event": "trial", "trial": "a", "state": "running"},
    {"event": "rung", "trial": "a", "budget": 500, "metrics": METRICS},
    {"event": "analysis", "name": "samples", "target": "3", "trial": "", "error": "boom"},
    {"event": "trial", "trial": "a", "state": "failed", "error": "boom"},
    {"event": "closed", "outcome": "interrupted"},
]


@pytest.fixture
def storage(tmp_path):
    (tmp_path / "old").mkdir()
    text = "".join(json.dumps({"time": "2026-11-01T00:00:00+00:00", **line}) + "\n" for line in LINES)
    (tmp_path / "old" / "ledger.jsonl").write_text(text)
    return tmp_path


def test_a_run_of_the_first_format_is_read_in_todays_words(storage):
    assert names(str(storage)) == ["old"]
    _, state = open_run(str(storage), "old")
    assert state.opened.schedule == "custom"
    assert state.opened.costs == {"detector/whole": 2.5}
    assert state.opened.shape == ImageShape(1, 16, 16)
    assert state.opened.provenance.versions == {"ray": "2.60"}
    assert state.opened.provenance.flat()["version.ray"] == "2.60"
    assert state.space.data.auxiliary[0].name == "photo_tiles"
    assert (state.space.resources.share, state.space.resources.least_workers) == ("batches", 1)
    assert state.space.presets["smoke"].max_auxiliary_images == 128
    assert [(stage.reused, stage.seconds) for stage in state.stages.values()] == [(False, 3.0), (True, 0.0)]
    trial = state.trials["a"]
    assert (trial.state, trial.error, trial.reached) == (State.FAILED, "boom", 500)
    assert trial.last.numbers == {"contrastive": 0.75, "auroc/mean": None, "failed_scores": 1}
    assert (trial.last.train_seconds, trial.last.proxies) == (1.5, {"3/whole": 1.0})
    assert trial.last.not_learned == (("3", "whole", 0.5),)
    assert state.analyses["samples/3"].error == "boom"
    assert state.closed.outcome == Outcome.INTERRUPTED
    assert (
        next(event for event in read_events(RunPaths(str(storage), "old")) if isinstance(event, Launched)).executor
        == "ray"
    )


def test_a_space_of_today_is_its_own_upgrade(storage):
    _, state = open_run(str(storage), "old")
    plain = state.space.model_dump(mode="json")
    assert upgrade_space(plain) == plain


def test_what_is_added_to_it_lies_beside_it(storage):
    paths = RunPaths(str(storage), "old")
    before = paths.format_1_ledger.read_bytes()
    ledger = Ledger(paths)
    ledger.append(Launched("analyse"))
    assert paths.format_1_ledger.read_bytes() == before
    assert len(segments(paths.ledger)) == 1
    assert fold(read_events(paths)) == ledger.state
    assert life_of(paths, ledger.state) == "open"


def test_a_last_line_cut_short_is_dropped_and_another_is_damage(storage):
    paths = RunPaths(str(storage), "old")
    lines = paths.format_1_ledger.read_text()
    paths.format_1_ledger.write_text(lines[:-10])
    assert len(read_events(paths)) == len(LINES) - 1
    paths.format_1_ledger.write_text(lines.replace('"launched"', '"launched', 1))
    with pytest.raises(UserError, match="damaged") as refused:
        read_events(paths)
    assert refused.value.where.endswith("ledger.jsonl, line 2")
