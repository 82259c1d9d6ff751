"""Closer looks at a winner: with the sweep, afterwards from the command line's own function, in report and MLflow."""

import json
from pathlib import Path

import mlflow
import pytest
from PIL import Image

from orchestrator.record.ledger import Ledger, read_events
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import analyse_run, request_for, run


@pytest.fixture(scope="module")
def looked(storage):
    """A sweep with all four analyses behind it."""
    code, text = run(request_for(storage, "figures_digits", name="looked", executor="local", workers=1))
    assert code == 0, text
    return RunPaths(str(storage), "looked"), text


def test_every_analysis_of_every_class_is_in_the_ledger_on_disk_and_in_the_report(looked):
    paths, _ = looked
    state = Ledger(paths).state
    names = ("generators", "position", "maps", "fooling")
    assert set(state.analyses) == {f"{name}/{target}" for name in names for target in ("3", "8")}
    report = (paths.report / "report.md").read_text()
    for key in state.analyses:
        name, target = key.split("/")
        found = json.loads(paths.analysis(name, target).read_text())
        assert found["trial"] == next(iter(state.trials))
        assert found["pictures"]
        for file in found["pictures"].values():
            assert min(Image.open(paths.analysis(name, target).parent / file).size) >= 64
            assert f"../analyses/{name}/{file}" in report
        for number in found["numbers"]:
            assert number in report


def test_mlflow_has_their_numbers_and_pictures_on_the_parent(looked):
    paths, _ = looked
    client = mlflow.MlflowClient(f"sqlite:///{paths.root}/mlflow.db")
    experiment = client.get_experiment_by_name("figures_digits").experiment_id
    (parent,) = [r for r in client.search_runs([experiment]) if "mlflow.parentRunId" not in r.data.tags]
    found = json.loads(paths.analysis("generators", "3").read_text())
    for key in ("G_2/accuracy_at_k", "G_8/lambda"):
        assert parent.data.metrics[f"analysis/generators/{key}/3"] == pytest.approx(found["numbers"][key])
    assert any(a.path.endswith(".png") for a in client.list_artifacts(parent.info.run_id, "analyses/fooling"))


def test_what_was_looked_at_is_not_looked_at_again(looked, storage):
    paths, _ = looked
    files = {p: p.stat().st_mtime_ns for p in (storage / "looked" / "analyses").rglob("*.*")}
    before = len(read_events(paths))
    analyse_run(paths, ["maps", "position"], executor="local")
    assert {p: p.stat().st_mtime_ns for p in files} == files
    assert len(read_events(paths)) == before


def test_a_run_can_be_looked_at_afterwards(storage):
    code, text = run(request_for(storage, "sweep_digits", name="plain", executor="local", points=1))
    assert code == 0, text
    paths = RunPaths(str(storage), "plain")
    assert "Analysis:" not in (paths.report / "report.md").read_text()
    analyse_run(paths, ["position"], executor="local")
    assert "Analysis: position" in (paths.report / "report.md").read_text()
    client = mlflow.MlflowClient(f"sqlite:///{paths.root}/mlflow.db")
    experiment = client.get_experiment_by_name("sweep_digits").experiment_id
    (parent,) = [r for r in client.search_runs([experiment]) if "mlflow.parentRunId" not in r.data.tags]
    assert "analysis/position/spread/white/3" in parent.data.metrics
    report = client.download_artifacts(parent.info.run_id, "report/report.md")
    assert "Analysis: position" in Path(report).read_text(), "MLflow has the new report, too"


def test_an_analysis_that_fails_is_told_and_costs_nothing_else(storage):
    paths = RunPaths(str(storage), "plain")
    (trial,) = Ledger(paths).state.trials.values()
    key = trial.stages["generator/3/level_2"]
    lost = paths.stage(key) / "history.json"
    kept = lost.read_bytes()
    lost.unlink()
    analyse_run(paths, ["generators"], executor="local")
    state = Ledger(paths).state
    assert "history.json" in state.analyses["generators/3"].error
    assert not state.analyses["generators/8"].error
    assert "generators/3 failed" in (paths.report / "report.md").read_text()
    lost.write_bytes(kept)
    analyse_run(paths, ["generators"], executor="local")
    assert not Ledger(paths).state.analyses["generators/3"].error
