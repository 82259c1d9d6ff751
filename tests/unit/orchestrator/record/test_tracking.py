"""MLflow made from a ledger: nothing twice, and two people's runs of one name stay two."""

import json
import re
import shutil
import socket
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode

from orchestrator.record.events import (
    AnalysisEnded,
    Closed,
    Launched,
    RungMetrics,
    RungReached,
    StageEnded,
    State,
    TrialMoved,
)
from orchestrator.record.state import Outcome
from orchestrator.record.tracking.store import experiment_of
from orchestrator.record.tracking.tracker import Tracker, mirrored
from tests.helpers.records import ledger_at, opened, trial_plan
from workloads.files import write_checked


def ledger_of(storage, uid):
    return ledger_at(
        storage,
        "sweep",
        opened(uid=uid, trials=(trial_plan("t1", {"noise": 0.1}, config={"noise": 0.1}),)),
        TrialMoved("t1", State.RUNNING),
        RungReached("t1", 1000, RungMetrics.parse({"budget": 1000, "auroc/3": 0.9, "auroc/mean": None})),
        TrialMoved("t1", State.FINISHED),
    )


@pytest.fixture
def server(empty, tmp_path):
    return f"sqlite:///{shutil.copy(empty, tmp_path / 'shared.db')}"


def raises(*_):
    raise OSError("no space")


def runs_of(server):
    client = mlflow.MlflowClient(server)
    return client, client.search_runs([client.get_experiment_by_name("made").experiment_id])


def test_runs_of_one_name_from_two_storages_do_not_mix(tmp_path, server):
    for who in ("anna", "ben"):
        paths, ledger = ledger_of(tmp_path / who, uid=who)
        Tracker(paths, server, "made").sync(ledger.state)
    _, found = runs_of(server)
    assert len(found) == 4
    for who in ("anna", "ben"):
        own = [r for r in found if r.data.tags["orchestrator.uid"] == who]
        (parent,) = [r for r in own if "mlflow.parentRunId" not in r.data.tags]
        (child,) = [r for r in own if "mlflow.parentRunId" in r.data.tags]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.metrics == {"auroc/3": 0.9, "train_seconds": 0.0}, "undefined is not logged"


def test_a_run_whose_config_did_not_go_up_gets_it_with_the_next_sync(tmp_path, server, monkeypatch):
    paths, ledger = ledger_of(tmp_path, uid="anna")
    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "log_dict", raises)
        with pytest.raises(OSError, match="no space"):
            Tracker(paths, server, "made").sync(ledger.state)
    Tracker(paths, server, "made").sync(ledger.state)
    client, runs = runs_of(server)
    files = {file.path for run in runs for file in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "run.json"} <= files
    assert len(runs) == 2


def test_a_report_that_did_not_go_up_with_an_analysis_does_with_the_next_sync(tmp_path, server, monkeypatch):
    paths, ledger = finished(tmp_path)
    Tracker(paths, server, "made").sync(ledger.state)
    write_checked(paths.analysis("maps", "3"), b'{"numbers": {}, "pictures": {}}')
    (paths.report / "new.md").write_text("with the analysis")
    ledger.append(AnalysisEnded("maps", "3", "t1"))
    with monkeypatch.context() as broken:
        broken.setattr(Tracker, "finish", raises)
        with pytest.raises(OSError, match="no space"):
            Tracker(paths, server, "made").sync(ledger.state)
    Tracker(paths, server, "made").sync(ledger.state)
    client, runs = runs_of(server)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert "report/new.md" in [file.path for file in client.list_artifacts(parent.info.run_id, "report")]


def test_syncing_again_and_from_another_process_changes_nothing(tmp_path, server):
    paths, ledger = ledger_of(tmp_path, uid="anna")
    Tracker(paths, server, "made").sync(ledger.state)
    client, before = runs_of(server)
    Tracker(paths, server, "made").sync(ledger.state)
    _, after = runs_of(server)
    assert {r.info.run_id for r in after} == {r.info.run_id for r in before}
    (child,) = [r for r in after if "mlflow.parentRunId" in r.data.tags]
    assert len(client.get_metric_history(child.info.run_id, "auroc/3")) == 1
    assert child.info.status == "FINISHED"
    assert child.data.params["noise"] == "0.1"


def test_a_trial_that_succeeds_after_all_keeps_no_error(tmp_path, server):
    failed = [TrialMoved("t1", State.RUNNING), TrialMoved("t1", State.FAILED, "it diverged")]
    paths, ledger = ledger_at(tmp_path, "sweep", opened(uid="anna", trials=(trial_plan("t1"),)), *failed)
    Tracker(paths, server, "made").sync(ledger.state)
    tags = [run.data.tags for run in runs_of(server)[1]]
    assert [tag["error"] for tag in tags if "error" in tag] == ["it diverged"]
    for event in (TrialMoved("t1", State.RUNNING), TrialMoved("t1", State.FINISHED)):
        ledger.append(event)
    Tracker(paths, server, "made").sync(ledger.state)
    tags = [run.data.tags for run in runs_of(server)[1]]
    assert not [tag for tag in tags if "error" in tag]
    assert "finished" in [tag.get("outcome") for tag in tags]


@pytest.fixture(scope="module")
def three(empty, tmp_path_factory):
    """(client, parent, trials by name) of a run with a trial that finished, one that was stopped, one that failed."""
    folder = tmp_path_factory.mktemp("three")
    uri = f"sqlite:///{shutil.copy(empty, folder / 'mlflow.db')}"
    points = [{"batch_size": 8, "noise": noise, "lambda_structure": 0.6} for noise in (0.0, 0.05, 0.1)]
    plans = tuple(trial_plan(f"t{i}", point, config=point | {"blocks": 1}) for i, point in enumerate(points))
    ends = [(State.FINISHED, ""), (State.STOPPED, ""), (State.FAILED, "it diverged")]
    events = [opened(uid="three", trials=plans)]
    for plan, (state, error) in zip(plans, ends, strict=True):
        events.append(TrialMoved(plan.id, State.RUNNING))
        for rung in (500, 1000)[: 2 if state == State.FINISHED else 1]:
            numbers = {"contrastive": 0.8, "auroc/3": rung / 2000, "auroc/mean": rung / 2000, "train_seconds": 1.0}
            events.append(RungReached(plan.id, rung, RungMetrics.parse(numbers)))
        events.append(TrialMoved(plan.id, state, error))
    paths, ledger = ledger_at(folder / "runs", "sweep", *events, Closed(Outcome.SOME_FAILED, 1.0, "t0"))
    paths.report.mkdir()
    (paths.report / "table.csv").write_text("name,kind,leak,note,3,mean\nMLSAD,measured,false,,0.5,0.5\n")
    Tracker(paths, uri, "made").sync(ledger.state)
    client, runs = runs_of(uri)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return client, parent, {run.info.run_name: run for run in runs if run is not parent}


def test_runs_have_names_that_a_person_reads_and_their_ends_are_told_apart(three):
    _, parent, trials = three
    assert parent.info.run_name == "sweep_digits · smoke · seed 0 · sweep"
    assert {name: (run.info.status, run.data.tags["outcome"]) for name, run in trials.items()} == {
        "#1 noise 0": ("FINISHED", "finished"),
        "#2 noise .05 (stopped at 50 %)": ("FINISHED", "stopped early at 50 %"),
        "#3 noise .1": ("FAILED", "failed"),
    }
    assert trials["#3 noise .1"].data.tags["error"] == "it diverged"


def test_only_what_varies_is_a_parameter_and_the_rest_an_artifact(three, tmp_path):
    client, parent, trials = three
    first = trials["#1 noise 0"]
    assert first.data.params == {"noise": "0.0"}
    config = json.loads(Path(client.download_artifacts(first.info.run_id, "config.json", str(tmp_path))).read_text())
    assert config == {"batch_size": 8, "noise": 0.0, "lambda_structure": 0.6, "blocks": 1}
    assert {"space": "sweep_digits", "preset": "smoke", "trials": "3"}.items() <= parent.data.params.items()
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["report", "run.json"]


def test_the_data_the_source_and_the_commit_are_in_mlflows_own_fields(three):
    _, parent, trials = three
    for run in (parent, *trials.values()):
        (data,) = run.inputs.dataset_inputs
        assert data.dataset.digest == "d" * 16
        assert data.dataset.name.startswith("digits at")
        assert run.data.tags["mlflow.source.name"].endswith("sweep_digits.py")
        assert not [name for name in run.data.tags if name.startswith("provenance.")]


def test_numbers_are_logged_by_rung_and_the_parents_at_the_end(three):
    client, parent, trials = three
    history = client.get_metric_history(trials["#1 noise 0"].info.run_id, "auroc/3")
    assert [(point.step, point.value) for point in history] == [(500, 0.25), (1000, 0.5)]
    assert [point.step for point in client.get_metric_history(parent.info.run_id, "auroc/mean")] == [1000]


def test_the_parent_says_what_was_done_and_where_to_look(three):
    _, parent, trials = three
    text = parent.data.tags["mlflow.note.content"]
    assert "| MLSAD | measured | .500 | .500 |" in text
    assert "report/report.html" in text
    links = re.findall(r"\]\((/#/\S+)\)", text)
    assert len(links) == 3
    assert all(
        link.endswith("?workflowType=machine_learning") or "&workflowType=machine_learning" in link for link in links
    )
    assert trials["#1 noise 0"].info.run_id in links[0]
    assert all(run.info.run_id in links[1] for run in trials.values())
    assert parent.outputs.model_outputs[0].model_id in links[2]


def finished(storage):
    """(paths, ledger) of a run that is over, with its report."""
    paths, ledger = ledger_of(storage, uid="anna")
    ledger.append(Closed(Outcome.COMPLETE, 1.0, "t1"))
    paths.report.mkdir()
    (paths.report / "table.csv").write_text("name,kind,leak,note,3,mean\nMLSAD,measured,false,,0.5,0.5\n")
    return paths, ledger


def test_the_winner_is_one_model_of_its_run_and_the_parents_with_its_numbers(tmp_path, server):
    paths, ledger = finished(tmp_path)
    Tracker(paths, server, "made").sync(ledger.state)
    write_checked(paths.analysis("maps", "3"), b'{"numbers": {}, "pictures": {}}')
    ledger.append(AnalysisEnded("maps", "3", "t1"))
    Tracker(paths, server, "made").sync(ledger.state)
    client, runs = runs_of(server)
    (model,) = client.search_logged_models([runs[0].info.experiment_id])
    assert (model.name, model.status, model.params["noise"]) == ("winner", "READY", "0.1")
    assert {metric.key: metric.value for metric in model.metrics} == {"auroc/3": 0.9, "train_seconds": 0.0}
    assert [[output.model_id for output in run.outputs.model_outputs] for run in runs] == [[model.model_id]] * 2
    assert [file.path for file in client.list_logged_model_artifacts(model.model_id)] == ["MLmodel"]


def test_a_server_older_than_logged_models_gets_all_else(tmp_path, server, monkeypatch):
    def unknown(*_):
        raise MlflowException("no such endpoint", ErrorCode.Value("ENDPOINT_NOT_FOUND"))

    paths, ledger = finished(tmp_path)
    monkeypatch.setattr(mlflow.MlflowClient, "create_logged_model", unknown)
    Tracker(paths, server, "made").sync(ledger.state)
    (parent,) = [run for run in runs_of(server)[1] if "mlflow.parentRunId" not in run.data.tags]
    assert (parent.info.status, parent.data.metrics["auroc/3"]) == ("FINISHED", 0.9)
    assert "as a model" not in parent.data.tags["mlflow.note.content"]


def test_of_launchers_that_create_an_experiment_at_once_all_find_it(tmp_path, server):
    client = mlflow.MlflowClient(server)
    first = experiment_of(client, "sweep", str(tmp_path / "artifacts"))

    class Late:
        """A client that looked just before another one created the experiment."""

        looks = 0

        def get_experiment_by_name(self, name):
            self.looks += 1
            return None if self.looks == 1 else client.get_experiment_by_name(name)

        def create_experiment(self, name, location):
            return client.create_experiment(name, location)

    assert experiment_of(Late(), "sweep", str(tmp_path / "artifacts")) == first


@pytest.fixture
def silent():
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_never_answers_delays_nothing_and_the_next_sync_catches_up(tmp_path, silent, server):
    warnings = []
    paths, ledger = ledger_of(tmp_path, uid="anna")
    with mirrored(Tracker(paths, silent, "made"), ledger, warnings.append, 0.5):
        ledger.append(Launched("first"))
        time.sleep(0.5)  # it hangs
        begun = time.monotonic()
        for number in range(50):
            ledger.append(Launched(str(number)))
        assert time.monotonic() - begun < 5
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert [text for text in warnings if "within 0.5 s" in text]
    with mirrored(Tracker(paths, server, "made"), ledger, warnings.append):
        pass
    _, runs = runs_of(server)
    assert sorted(run.info.status for run in runs) == ["FINISHED", "RUNNING"]


def test_a_mirror_goes_on_after_a_failure_and_ends_with_the_last_state(tmp_path):
    warnings, seen = [], []
    _, ledger = ledger_of(tmp_path, uid="anna")

    class Flaky:
        """Away at the first sync, which is two attempts."""

        remarks = ()

        def sample(self):
            return False

        def forget(self):
            pass

        def sync(self, state):
            seen.append(len(state.stages))
            if len(seen) <= 2:
                raise ConnectionError("http://anna:secret@server is away")

    with mirrored(Flaky(), ledger, warnings.append):
        ledger.append(StageEnded("generator/3", "a", reused=False))
        while not warnings:
            time.sleep(0.01)
    assert seen == [1, 1, 1]
    (warning,) = warnings
    assert "MLflow was not reached" in warning
    assert "secret" not in warning
