"""MLflow on a real PostgreSQL: a server of several processes, logged to by two sweeps at once, and the database itself.
Slow, and needs Debian's package `postgresql` and the extra `postgres`."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mlflow
import pytest
import sqlalchemy

from orchestrator.record.events import Closed, RungMetrics, RungReached, State, TrialMoved
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import Outcome
from orchestrator.record.tracking.store import check_store, revisions
from orchestrator.record.tracking.tracker import Tracker, failure
from tests.helpers.records import ledger_at, opened, trial_plan
from workloads.errors import UserError

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BINARIES, reason="Debian's postgresql is not installed"),
    pytest.mark.skipif(find_spec("psycopg") is None, reason="the extra `postgres` is not installed"),
]


QUIET = {"check": True, "capture_output": True, "cwd": "/"}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def as_server(*words):
    """A command as the user `postgres` where we are root, which PostgreSQL refuses to run as."""
    return ["runuser", "-u", "postgres", "--", *map(str, words)] if os.geteuid() == 0 else list(map(str, words))


@contextmanager
def running(command, port, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        deadline = time.monotonic() + 90
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@dataclass(frozen=True)
class Postgres:
    """A server of databases below a folder of its own."""

    home: Path
    port: int

    @contextmanager
    def up(self):
        """Until the block ends, also while clients are connected."""
        tool = (BINARIES[-1] / "pg_ctl", "-w", "-D", self.home / "data", "-l", self.home / "log")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.home}"
        subprocess.run(as_server(*tool, "-o", options, "start"), **QUIET)
        try:
            yield
        finally:
            subprocess.run(as_server(*tool, "-m", "fast", "stop"), **QUIET)

    def uri(self, database):
        return f"postgresql+psycopg://mlflow@127.0.0.1:{self.port}/{database}"

    def make(self, database):
        words = ("-h", "127.0.0.1", "-p", self.port, "-U", "mlflow", database)
        subprocess.run(as_server(BINARIES[-1] / "createdb", *words), **QUIET)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A `Postgres` that is not up."""
    home = tmp_path_factory.mktemp("postgresql")
    if os.geteuid() == 0:
        for path in (home, *home.parents[:2]):
            path.chmod(0o755)
        shutil.chown(home, "postgres")
    subprocess.run(as_server(BINARIES[-1] / "initdb", "-D", home / "data", "-U", "mlflow", "-A", "trust"), **QUIET)
    return Postgres(home, free_port())


@pytest.fixture
def database(postgres):
    """The URI of an empty database."""
    with postgres.up():
        postgres.make("served")
        yield postgres.uri("served")


@pytest.fixture
def tracking(database, tmp_path):
    """The address of a tracking server of two processes, started as cluster/mlflow.yaml starts it."""
    port, folder = free_port(), tmp_path / "artifacts"
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    command = [sys.executable, "-m", "mlflow", *words, "--artifacts-destination", str(folder)]
    with running(command, port, env=os.environ | {"MLFLOW_BACKEND_STORE_URI": database}):
        yield f"http://127.0.0.1:{port}"


def test_two_sweeps_at_once_lose_nothing_on_one_server(tracking, tmp_path):
    words = ["launch", "sweep_digits", "--preset", "smoke", "--scheduler", "fifo", "--points", "2", "--plain"]
    words += ["--executor", "local", "--tracking-uri", tracking]
    launches = {}
    for name in ("3", "8"):
        own = [*words, "--class", name, "--name", f"class-{name}", "--storage", str(tmp_path / name)]
        launches[name] = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *own], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    for launch in launches.values():
        said = launch.communicate(timeout=500)[0]
        print(said)
        assert launch.returncode == 0, said
        assert "MLflow was not reached" not in said
    client = mlflow.MlflowClient(tracking)
    experiment = client.get_experiment_by_name("sweep_digits")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2 * (1 + 2)
    assert {run.info.status for run in runs} == {"FINISHED"}
    logged = {run.data.tags["identity.trial"]: run for run in runs if "identity.trial" in run.data.tags}
    for name in launches:
        for trial in Ledger(RunPaths(str(tmp_path / name), f"class-{name}")).state.trials.values():
            run = logged[trial.id]
            assert run.data.metrics["auroc/mean"] == pytest.approx(trial.metric("auroc/mean"))
            assert run.data.metrics["contrastive"] == pytest.approx(trial.metric("contrastive"))
            files = [file.path for file in client.list_artifacts(run.info.run_id, "scores")]
            assert files == ["scores/rung-1000.parquet"]


def test_a_database_that_goes_down_and_comes_back_has_the_run_once(postgres, tmp_path):
    uri = postgres.uri("direct")
    paths, ledger = finished(tmp_path / "runs")
    tracker = Tracker(paths, uri, "made")
    with postgres.up():
        with pytest.raises(UserError, match='database "direct" does not exist') as refused:
            check_store(str(tmp_path), uri)
        assert "make the database" in refused.value.fix
        postgres.make("direct")
        check_store(str(tmp_path), uri)
        assert not failure(tracker, ledger)
    check_store(str(tmp_path), uri)
    ledger.append(TrialMoved("t1", State.FINISHED))
    begun = time.monotonic()
    assert "refused" in failure(tracker, ledger)
    assert time.monotonic() - begun < 60
    with postgres.up():
        ledger.append(Closed(Outcome.COMPLETE, 1.0, "t1"))
        assert not failure(tracker, ledger)
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name("made")
        assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FINISHED"] * 2
        (model,) = client.search_logged_models([experiment.experiment_id])
        assert client.get_logged_model(model.model_id).tags["orchestrator.trial"] == "t1"


def test_a_database_of_another_version_is_refused_with_what_to_do(postgres, tmp_path):
    uri = postgres.uri("versions")
    with postgres.up():
        postgres.make("versions")
        mlflow.MlflowClient(uri).search_experiments()
        known, newest = revisions()
        for version, words in ((min(known - {newest}), "older MLflow"), ("f00dfeedf00d", "newer MLflow")):
            with sqlalchemy.create_engine(uri).begin() as connection:
                connection.execute(sqlalchemy.text(f"UPDATE alembic_version SET version_num = '{version}'"))
            with pytest.raises(UserError, match=words):
                check_store(str(tmp_path), uri)


def finished(storage):
    """(paths, ledger) of a run whose only trial is at its end, with an empty report."""
    paths, ledger = ledger_at(
        storage,
        "sweep",
        opened(uid="anna", trials=(trial_plan("t1", {"noise": 0.1}),)),
        TrialMoved("t1", State.RUNNING),
        RungReached("t1", 1000, RungMetrics.parse({"auroc/3": 0.9})),
    )
    paths.report.mkdir()
    return paths, ledger
