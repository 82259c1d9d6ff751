"""The ledger keeps what happened, refuses what cannot happen, and survives a writer that dies half-way."""

import pytest

from orchestrator.record.ledger import Ledger, read_events
from orchestrator.record.locks import launcher_lock
from orchestrator.record.paths import RunPaths
from workloads.errors import Kind, UserError


def opened(ledger):
    ledger.append(
        "opened",
        trials=[{"id": "a", "point": {"noise": 0.1}, "stages": {}}, {"id": "b", "point": {"noise": 0.0}, "stages": {}}],
    )
    return ledger


def test_a_reopened_ledger_tells_the_same_state(tmp_path):
    places = RunPaths(str(tmp_path), "run")
    places.folder.mkdir()
    ledger = opened(Ledger(places))
    ledger.append("trial", trial="a", state="running")
    ledger.append("rung", trial="a", budget=340, metrics={"contrastive": 0.9})
    ledger.append("rung", trial="a", budget=1000, metrics={"contrastive": 0.95})
    ledger.append("trial", trial="a", state="finished")
    again = Ledger(places).state
    assert again.trials["a"].state == "finished"
    assert again.trials["a"].metric("contrastive") == 0.95
    assert again.trials["b"].state == "pending"


@pytest.mark.parametrize("first", ["finished", "stopped"])
def test_a_trial_that_is_over_cannot_move_and_nothing_is_written(tmp_path, first):
    places = RunPaths(str(tmp_path), "run")
    places.folder.mkdir()
    ledger = opened(Ledger(places))
    ledger.append("trial", trial="a", state="running")
    ledger.append("trial", trial="a", state=first)
    with pytest.raises(ValueError, match="cannot go from"):
        ledger.append("trial", trial="a", state="running")
    assert len(read_events(places.ledger)) == 3


def test_a_line_cut_short_is_dropped_and_the_ledger_goes_on(tmp_path):
    places = RunPaths(str(tmp_path), "run")
    places.folder.mkdir()
    opened(Ledger(places)).append("trial", trial="a", state="running")
    with places.ledger.open("a") as file:
        file.write('{"event": "trial", "trial": "a", "sta')
    ledger = Ledger(places)
    assert ledger.state.trials["a"].state == "running"
    ledger.append("trial", trial="a", state="failed", error="boom")
    assert Ledger(places).state.trials["a"].error == "boom"


def test_a_second_launcher_of_a_run_is_refused_while_the_first_lives(tmp_path):
    places = RunPaths(str(tmp_path), "run")
    with launcher_lock(places):
        with pytest.raises(UserError, match="live launcher") as refused, launcher_lock(places):
            pass
        assert refused.value.kind == Kind.REFUSED
    with launcher_lock(places):
        pass


def test_a_remote_storage_keeps_the_same_ledger():
    places = RunPaths("memory://bucket/runs", "run")
    places.folder.mkdir(parents=True, exist_ok=True)
    opened(Ledger(places)).append("trial", trial="a", state="running")
    assert Ledger(places).state.trials["a"].state == "running"
