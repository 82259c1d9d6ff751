"""MLflow made from a ledger: nothing twice, and two people's runs of one name stay two."""

import mlflow
import pytest

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.tracking import Tracker, experiment_of


def ledger_of(storage, uid):
    places = RunPaths(str(storage), "sweep")
    places.folder.mkdir(parents=True)
    ledger = Ledger(places)
    ledger.append(
        "opened",
        uid=uid,
        name="made",
        space={"select_by": "contrastive", "fixed": {"width": 0.25}},
        preset="smoke",
        dataset="digits",
        identity={"data": "d", "code": "c"},
        provenance={"hardware": "here"},
        trials=[{"id": "t1", "point": {"noise": 0.1}, "config": {"noise": 0.1}, "stages": {}}],
    )
    ledger.append("trial", trial="t1", state="running")
    ledger.append("rung", trial="t1", budget=1000, metrics={"budget": 1000, "auroc/3": 0.9, "auroc/mean": None})
    ledger.append("trial", trial="t1", state="finished")
    return places, ledger


@pytest.fixture
def server(tmp_path):
    return f"sqlite:///{tmp_path / 'shared.db'}"


def runs_of(server):
    client = mlflow.MlflowClient(server)
    return client, client.search_runs([client.get_experiment_by_name("made").experiment_id])


def test_runs_of_one_name_from_two_storages_do_not_mix(tmp_path, server):
    for who in ("anna", "ben"):
        places, ledger = ledger_of(tmp_path / who, uid=who)
        Tracker(places, server, "made").sync(ledger)
    _, found = runs_of(server)
    assert len(found) == 4
    for who in ("anna", "ben"):
        own = [r for r in found if r.data.tags["orchestrator.uid"] == who]
        (parent,) = [r for r in own if "mlflow.parentRunId" not in r.data.tags]
        (child,) = [r for r in own if "mlflow.parentRunId" in r.data.tags]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.metrics == {"auroc/3": 0.9}, "undefined is not logged"


def test_syncing_again_and_from_another_process_changes_nothing(tmp_path, server):
    places, ledger = ledger_of(tmp_path, uid="anna")
    Tracker(places, server, "made").sync(ledger)
    client, before = runs_of(server)
    Tracker(places, server, "made").sync(ledger)
    _, after = runs_of(server)
    assert {r.info.run_id for r in after} == {r.info.run_id for r in before}
    (child,) = [r for r in after if "mlflow.parentRunId" in r.data.tags]
    assert len(client.get_metric_history(child.info.run_id, "auroc/3")) == 1
    assert child.info.status == "FINISHED"
    assert child.data.params["noise"] == "0.1"


def test_of_launchers_that_create_an_experiment_at_once_all_find_it(tmp_path):
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
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
