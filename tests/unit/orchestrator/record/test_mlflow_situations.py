"""What users do in MLflow and around it, between two launches or during one: the runs are tracked all the same."""

import logging
import shutil
import threading
import time
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from mlflow.entities import ViewType

from orchestrator.record.events import Closed, Launched, RungMetrics, RungReached, State, TrialMoved
from orchestrator.record.state import Outcome
from orchestrator.record.tracking.tracker import Tracker, mirrored
from tests.helpers.records import ledger_at, opened, trial_plan


@pytest.fixture
def storage(tmp_path, empty):
    """A storage with MLflow's database."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(empty, folder / "mlflow.db")
    return folder


def run_in(storage, name="sweep"):
    """(paths, ledger) of a run with a trial that has finished, and its score file."""
    paths, ledger = ledger_at(
        storage,
        name,
        opened(uid=name, trials=(trial_plan("t1", {"noise": 0.1}),)),
        TrialMoved("t1", State.RUNNING),
        RungReached("t1", 1000, RungMetrics.parse({"auroc/3": 0.9})),
        TrialMoved("t1", State.FINISHED),
    )
    scores = paths.trial("t1").scores(1000)
    scores.parent.mkdir(parents=True)
    scores.write_bytes(b"scores")
    return paths, ledger


def synced(paths, ledger, uri=None):
    """What the user is told of a mirror that follows a launch."""
    warnings = []
    with mirrored(Tracker(paths, uri, "made"), ledger, warnings.append):
        ledger.append(Launched("again"))
    return warnings


def runs_of(storage):
    """(client, the parent of every run by the run's name, their trials by the parent's id)."""
    client = mlflow.MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("made").experiment_id])
    parents = {run.data.tags["orchestrator.run"]: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    return client, parents, {run.data.tags.get("mlflow.parentRunId"): run for run in runs}


def test_an_experiment_that_was_deleted_is_restored_and_what_was_deleted_with_it_is_not(storage):
    assert synced(*run_in(storage, "first")) == []
    client, _, _ = runs_of(storage)
    client.delete_experiment(client.get_experiment_by_name("made").experiment_id)
    (warning,) = synced(*run_in(storage, "second"))
    assert "made had been deleted in MLflow, and is restored" in warning
    _, parents, trials = runs_of(storage)
    assert list(parents) == ["second"]
    assert parents["second"].info.run_id in trials


def test_an_experiment_that_is_deleted_while_a_launch_goes_on_is_restored_with_its_run(storage):
    paths, ledger = ledger_at(storage, "sweep", opened(uid="sweep", trials=(trial_plan("t1"), trial_plan("t2"))))
    warnings = []
    with mirrored(Tracker(paths, None, "made"), ledger, warnings.append):
        ledger.append(TrialMoved("t1", State.RUNNING))
        while not list(storage.rglob("config.json")):
            time.sleep(0.01)
        client = mlflow.MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
        client.delete_experiment(client.get_experiment_by_name("made").experiment_id)
        ledger.append(TrialMoved("t2", State.RUNNING))
    assert not [warning for warning in warnings if "restored" not in warning]
    client, parents, _ = runs_of(storage)
    children = client.search_runs(["1"], f"tags.mlflow.parentRunId = '{parents['sweep'].info.run_id}'")
    assert {child.data.tags["orchestrator.trial"] for child in children} == {"t1", "t2"}


@pytest.mark.parametrize("deleted", ["parent", "trial"])
def test_a_run_that_was_deleted_is_restored_when_it_is_synced_again(storage, deleted):
    paths, ledger = run_in(storage)
    synced(paths, ledger)
    client, parents, trials = runs_of(storage)
    parent = parents["sweep"].info.run_id
    client.delete_run(parent if deleted == "parent" else trials[parent].info.run_id)
    (warning,) = synced(paths, ledger)
    assert "had been deleted in MLflow, and is restored" in warning
    _, parents, trials = runs_of(storage)
    assert parents["sweep"].info.run_id == parent
    assert parent in trials
    assert len(client.search_runs(["1"], run_view_type=ViewType.ALL)) == 2, "nothing is there twice"


def test_trials_of_a_parent_that_is_gone_for_good_get_the_new_one(storage):
    paths, ledger = run_in(storage)
    synced(paths, ledger)
    client, parents, _ = runs_of(storage)
    client.delete_run(parents["sweep"].info.run_id)
    client._tracking_client.store._hard_delete_run(parents["sweep"].info.run_id)  # as `mlflow gc` does
    synced(paths, ledger)
    _, after, trials = runs_of(storage)
    assert after["sweep"].info.run_id != parents["sweep"].info.run_id
    assert after["sweep"].info.run_id in trials


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_artifacts_follow_a_storage_that_was_moved_or_copied(storage, tmp_path, how):
    synced(*run_in(storage, "first"))
    elsewhere = tmp_path / "other disk" / "runs"
    elsewhere.parent.mkdir()
    shutil.move(storage, elsewhere) if how == "moved" else shutil.copytree(storage, elsewhere)
    before = sorted(path for path in storage.rglob("*") if path.is_file())
    assert synced(*run_in(elsewhere, "second")) == []
    assert sorted(path for path in storage.rglob("*") if path.is_file()) == before, "nothing goes to the old place"
    client, parents, trials = runs_of(elsewhere)
    for name in ("first", "second"):
        trial = trials[parents[name].info.run_id].info
        assert Path(trial.artifact_uri).is_relative_to(elsewhere)
        assert [file.path for file in client.list_artifacts(trial.run_id, "scores")] == ["scores/rung-1000.parquet"]


def test_a_storage_by_another_name_keeps_its_paths(storage, tmp_path):
    synced(*run_in(storage, "first"))
    (tmp_path / "link").symlink_to(storage)
    synced(*run_in(tmp_path / "link", "second"))
    client, parents, _ = runs_of(storage)
    assert Path(parents["first"].info.artifact_uri).is_relative_to(storage)
    assert client.list_artifacts(parents["second"].info.run_id)


def test_a_database_that_cannot_be_opened_is_away_for_moments_and_told_once(storage, monkeypatch, caplog):
    """MLflow by itself tries ten times, for 100 s."""
    paths, ledger = run_in(storage)
    monkeypatch.setattr("orchestrator.record.tracking.tracker.PAUSE_S", 0.05)
    real, attempts, away = sqlalchemy.inspect, [], threading.Event()
    away.set()

    def inspect(engine):
        attempts.append(time.monotonic())
        if away.is_set():
            raise sqlalchemy.exc.OperationalError("connect", {}, OSError("the host is down"))
        return real(engine)

    monkeypatch.setattr(sqlalchemy, "inspect", inspect)
    warnings, begun = [], time.monotonic()
    with caplog.at_level(logging.WARNING), mirrored(Tracker(paths, None, "made"), ledger, warnings.append):
        for number in range(3):
            before = len(attempts)
            ledger.append(Launched(str(number)))
            while len(attempts) == before:
                time.sleep(0.01)
        away.clear()
    assert time.monotonic() - begun < 30
    (warning,) = warnings
    assert "MLflow was not reached, the ledger keeps everything: (" in warning
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    _, parents, trials = runs_of(storage)
    assert trials[parents["sweep"].info.run_id].data.metrics["auroc/3"] == 0.9


def test_what_the_machine_was_busy_with_is_on_the_parent_of_a_launch(storage):
    paths, ledger = ledger_at(storage, "sweep", opened(uid="sweep", trials=(trial_plan("t1"),)))
    before = threading.active_count()
    with mirrored(Tracker(paths, None, "made"), ledger, print):
        ledger.append(Launched("first"))
        while not Path(storage, "mlartifacts").exists():
            time.sleep(0.01)
        assert threading.active_count() <= before + 1
        ledger.append(Closed(Outcome.FAILED, 1.0, None))
    client, parents, _ = runs_of(storage)
    metrics = parents["sweep"].data.metrics
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100
    assert metrics["system/system_memory_usage_megabytes"] > 100
    (point,) = client.get_metric_history(parents["sweep"].info.run_id, "system/cpu_utilization_percentage")
    assert 0 <= point.step < 600, "seconds since the run was opened"
