"""An MLflow server of several processes on a real PostgreSQL, logged to by two sweeps at once. Slow, and needs Debian's
package `postgresql`."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not BINARIES, reason="PostgreSQL is not installed")]


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


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The URI of an empty database."""
    home = tmp_path_factory.mktemp("postgresql")
    folder, port = home / "data", free_port()
    if os.geteuid() == 0:
        for path in (home, *home.parents[:2]):
            path.chmod(0o755)
        shutil.chown(home, "postgres")
    quiet = {"check": True, "capture_output": True, "cwd": "/"}
    subprocess.run(as_server(BINARIES[-1] / "initdb", "-D", folder, "-U", "mlflow", "-A", "trust"), **quiet)
    server = as_server(BINARIES[-1] / "postgres", "-D", folder, "-p", port, "-h", "127.0.0.1", "-k", home)
    with running(server, port, cwd="/"):
        subprocess.run(
            as_server(BINARIES[-1] / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "mlflow", "mlflow"), **quiet
        )
        yield f"postgresql+psycopg://mlflow@127.0.0.1:{port}/mlflow"


@pytest.fixture(scope="module")
def tracking(database, tmp_path_factory):
    """The address of a tracking server of two processes, started as cluster/mlflow.yaml starts it."""
    port, folder = free_port(), tmp_path_factory.mktemp("artifacts")
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
