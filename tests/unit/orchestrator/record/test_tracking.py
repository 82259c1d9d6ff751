"""MLflow made from a ledger: nothing twice, and two people's runs of one name stay two."""

import shutil
import socket
import time

import mlflow
import pytest

from orchestrator.record.events import Launched, RungMetrics, RungReached, State, TrialMoved
from orchestrator.record.tracking import Tracker, experiment_of, mirrored
from tests.helpers.records import ledger_at, opened, trial_plan


def ledger_of(storage, uid):
    return ledger_at(
        storage,
        "sweep",
        opened(uid=uid, trials=(trial_plan("t1", {"noise": 0.1}, config={"noise": 0.1}),)),
        TrialMoved("t1", State.RUNNING),
        RungReached("t1", 1000, RungMetrics.parse({"budget": 1000, "auroc/3": 0.9, "auroc/mean": None})),
        TrialMoved("t1", State.FINISHED),
    )


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database that MLflow has made its tables in, which takes it seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "empty.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def server(empty, tmp_path):
    return f"sqlite:///{shutil.copy(empty, tmp_path / 'shared.db')}"


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
        """Away at the first sync."""

        def sync(self, state):
            seen.append(state.launches)
            if len(seen) == 1:
                raise ConnectionError("http://anna:secret@server is away")

    before = ledger.state.launches
    with mirrored(Flaky(), ledger, warnings.append):
        ledger.append(Launched("first"))
        while not warnings:
            time.sleep(0.01)
    assert seen == [before + 1, before + 1]
    (warning,) = warnings
    assert "MLflow was not reached" in warning
    assert "secret" not in warning
