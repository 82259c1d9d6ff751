"""MLflow's pages of the runs in a store, served on this machine alone, and the links of those that matter."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orchestrator.planning.request import absolute
from orchestrator.record.labels import COMPARED, PORT, compare_page, run_page, runs_page, server_of
from orchestrator.record.paths import ARTIFACTS, RunPaths
from orchestrator.record.runs import open_run, tracking_of
from orchestrator.record.tracking.store import check_store, follow_the_storage, sqlite_file
from orchestrator.record.tracking.tracker import PARENT_TAG, TRIAL_TAG, UID_TAG
from workloads.errors import Kind, UserError

HOST, UP_S, RUNS = "127.0.0.1", 180.0, 5
"""Nobody else reaches it; seconds that a slow machine may take to start it; runs that are listed, the newest first."""


@dataclass(frozen=True)
class RunPages:
    """Links of a run: its own page, its trials beside each other, and the table of its experiment's runs."""

    name: str
    page: str
    comparison: str
    table: str


@dataclass(frozen=True)
class Pages:
    """What is served. server: None where the store is a server that runs anyway."""

    address: str
    runs: list[RunPages]
    server: "subprocess.Popen[bytes] | None"

    def wait(self) -> None:
        """Until the server ends, where one was started."""
        if self.server is not None:
            self.server.wait()


@contextmanager
def served(storage: str, run: str | None, tracking_uri: str | None, port: int | None) -> Iterator[Pages]:
    """MLflow's pages, until the block ends. run: whose pages are listed; the newest runs' where it is None.

    Raises UserError for an unknown run, where there is nothing to show, for a store of another version, and for a port
    that is taken.
    """
    storage = absolute(storage)
    uri, uid = store_of(storage, run, tracking_uri)
    if uri.startswith("http"):
        address = server_of(uri)
        yield Pages(address, pages_of(uri, address, uid), None)
        return
    port = free_port(port)
    address = f"http://{HOST}:{port}"
    with server(uri, storage, port) as process:  # it takes seconds, in which the links are looked up
        runs = pages_of(uri, address, uid)
        yield Pages(address, runs, process)


def store_of(storage: str, run: str | None, tracking_uri: str | None) -> tuple[str, str]:
    """(the tracking URI of a run or of a storage, the run's id). Raises UserError where there is nothing to show."""
    uid = ""
    if run is not None:
        _, state = open_run(storage, run)
        tracking_uri, uid = tracking_of(state, tracking_uri), state.opened.uid
    check_store(storage, tracking_uri)
    if tracking_uri is None and "://" in storage:
        raise UserError("MLflow's database is not in this storage", where=storage, fix="give its --tracking-uri")
    uri = tracking_uri or RunPaths(storage, "any").database
    file = sqlite_file(uri) if uri.startswith("sqlite") else None
    if file is not None and not (file.exists() and file.stat().st_size):
        fix = "launch something, or say by --storage or --tracking-uri where MLflow's runs are"
        raise UserError("there is no MLflow database", where=str(file), fix=fix)
    if tracking_uri is None:
        with suppress(sqlite3.OperationalError):  # it cannot be written: its pages open all the same
            follow_the_storage(Path(storage))
    return uri, uid


def free_port(port: int | None) -> int:
    """The port, or `PORT` where it is free, or any. Raises UserError where the one that is wanted is taken."""
    for wanted in (port or PORT, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # pages that were closed a moment ago
            probe.bind((HOST, wanted))
            return int(probe.getsockname()[1])
        if port:
            break
    raise UserError(f"port {port} is taken", where="--port", fix="leave it out for a free one", kind=Kind.ENVIRONMENT)


@contextmanager
def server(uri: str, storage: str, port: int) -> "Iterator[subprocess.Popen[bytes]]":
    """MLflow's server on a database; ready when the block begins to wait for it, ended with the block."""
    words = ["-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    if "://" not in storage:  # of what a reader makes in the pages
        words += ["--artifacts-destination", str(Path(storage) / ARTIFACTS)]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environ = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environ |= settings | {"MLFLOW_BACKEND_STORE_URI": uri}  # not as a word: other users see those
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *words], env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us, who end it
        )  # fmt: skip
        try:
            wait_for(process, port, log)
            yield process
        finally:
            end(process)


def wait_for(process: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
    """Raises UserError, with the last of what it printed, where the server ends or does not answer."""
    deadline = time.monotonic() + UP_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["it printed nothing"]
    raise UserError("MLflow's server did not start", details="\n".join(lines[-5:]), kind=Kind.FAILED)


def end(process: "subprocess.Popen[bytes]") -> None:
    """The server and its workers."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


def pages_of(uri: str, address: str, uid: str) -> list[RunPages]:
    """Of the run with that id in its ledger, or of the newest runs. Raises UserError where a server does not answer."""
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient(uri)
    query = f"tags.`{UID_TAG}` = '{uid}' and " * bool(uid) + f"tags.`{TRIAL_TAG}` = 'sweep'"
    try:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        newest = ["attributes.start_time DESC"]
        parents = client.search_runs(experiments, query, max_results=RUNS, order_by=newest) if experiments else []
        return [pages_of_run(client, address, parent) for parent in parents]
    except MlflowException as error:
        reason = (str(error).strip().splitlines() or ["no answer"])[0]
        raise UserError(
            f"MLflow does not answer: {reason[:200]}", where=server_of(uri, uri), kind=Kind.ENVIRONMENT
        ) from error


def pages_of_run(client: Any, address: str, parent: Any) -> RunPages:
    run, experiment = parent.info.run_id, parent.info.experiment_id
    trials = client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{run}'", max_results=COMPARED)
    names = [trial.info.run_id for trial in reversed(trials)]
    comparison = compare_page(address, experiment, names)
    return RunPages(
        parent.info.run_name, run_page(address, experiment, run), comparison, runs_page(address, experiment)
    )
