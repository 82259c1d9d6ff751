"""An MLflow server of a few lines, kept in a file beside the storage: what a launch logs there outlives its death.

It stands in for the package `mlflow` in a process that is forked for a launch, where importing the real one and making
its database would take longer than the launch. A server may be away in one of four ways for some of its calls.
"""

import fcntl
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

WAYS = ("refuses", "hangs", "dies", "loses the answer")
AWAY_S = 30.0
"""Seconds that a call hangs: longer than anybody waits for it here."""


class ServerError(Exception):
    """What a client of MLflow raises."""


@dataclass(frozen=True)
class Away:
    """A server that is away from its `first` call on, for `calls` of them. how: one of `WAYS`."""

    how: str
    first: int
    calls: int


class Server:
    """Runs by id, in a JSON file. Every call is whole, also where several processes call."""

    def __init__(self, file: Path, away: Away | None) -> None:
        self.file, self.away, self.called = file, away, 0

    def call(self, change: Callable[[dict[str, Any]], Any]) -> Any:
        self.called += 1
        away = self.away if self.away and 0 <= self.called - self.away.first < self.away.calls else None
        if away and away.how == "hangs":
            time.sleep(AWAY_S)
        if away and away.how in ("refuses", "dies"):
            raise ServerError(f"the server {away.how}")
        with self.file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = json.loads(self.file.read_text()) if self.file.exists() else {"experiments": {}, "runs": {}}
            answer = change(held)
            new = self.file.with_suffix(".new")
            new.write_text(json.dumps(held))
            new.replace(self.file)  # whoever calls may die at any moment
        if away:
            raise ServerError("the answer was lost")
        return answer


SERVER: Server | None = None


class Client:
    """As much of MLflow's client as the tracker calls."""

    def __init__(self, uri: str) -> None:
        assert SERVER is not None
        self.call = SERVER.call

    def change(self, run: str, part: str, values: dict[str, Any]) -> None:
        self.call(lambda held: held["runs"][run][part].update(values))

    def create_experiment(self, name: str, location: Any) -> str:
        return self.call(lambda held: held["experiments"].setdefault(name, str(len(held["experiments"]))))

    def search_runs(self, experiments: list[str], query: str, kind: Any) -> list[Any]:
        wanted = [part.split("` = '") for part in query.removeprefix("tags.`").removesuffix("'").split("' and tags.`")]
        runs = self.call(lambda held: held["runs"])
        matches = [key for key, run in runs.items() if all(run["tags"].get(tag) == value for tag, value in wanted)]
        return [run_of(key, runs[key]) for key in matches]

    def get_run(self, run: str) -> Any:
        return run_of(run, self.call(lambda held: held["runs"][run]))

    def create_run(self, experiment: str, tags: dict[str, str]) -> Any:
        key = uuid4().hex
        run = {"tags": dict(tags), "params": {}, "metrics": {}, "artifacts": {}, "status": "RUNNING"}
        self.call(lambda held: held["runs"].update({key: run}))
        return run_of(key, run)

    def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
        self.change(run, "params", {param.key: param.value for param in params})
        self.change(run, "metrics", {f"{metric.key}@{metric.step}": metric.value for metric in metrics})

    def log_inputs(self, run: str, datasets: Any) -> None:
        self.call(lambda held: held["runs"][run])

    def log_dict(self, run: str, values: Any, name: str) -> None:
        self.change(run, "artifacts", {name: ""})

    def log_artifacts(self, run: str, folder: str, place: str) -> None:
        digests = {
            f"{place}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in Path(folder).iterdir()
        }
        self.change(run, "artifacts", digests)

    def set_tag(self, run: str, key: str, value: str) -> None:
        self.change(run, "tags", {key: value})

    def delete_tag(self, run: str, key: str) -> None:
        self.call(lambda held: held["runs"][run]["tags"].pop(key))

    def update_run(self, run: str, status: str) -> None:
        self.call(lambda held: held["runs"][run].update(status=status))

    set_terminated = update_run


def run_of(key: str, run: dict[str, Any]) -> Any:
    data = SimpleNamespace(tags=run["tags"], params=run["params"])
    info = SimpleNamespace(run_id=key, status=run["status"], lifecycle_stage="active", run_name=key)
    return SimpleNamespace(info=info, data=data)


def connect(tracker: Any) -> None:
    """In the place of `Tracker.connect`, which prepares a real MLflow."""
    client = Client(tracker.uri)
    tracker.experiment = client.create_experiment(tracker.name, None)
    tracker.client = client


def stand_in(file: Path, away: Away | None) -> None:
    """From here on this process has no other MLflow."""
    global SERVER
    SERVER = Server(file, away)

    def record(*names: str) -> type:
        def init(self: Any, *values: Any, **named: Any) -> None:
            vars(self).update(dict(zip(names, values, strict=False)), **named)

        return type("Record", (), {"__init__": init})

    entities = ModuleType("mlflow.entities")
    vars(entities).update(
        Param=record("key", "value"), Metric=record("key", "value", "timestamp", "step"),
        Dataset=record(), DatasetInput=record("dataset", "tags"), InputTag=record("key", "value"),
        ViewType=SimpleNamespace(ALL=3),
    )  # fmt: skip
    exceptions, package = ModuleType("mlflow.exceptions"), ModuleType("mlflow")
    vars(exceptions).update(MlflowException=ServerError)
    vars(package).update(MlflowClient=Client, entities=entities, exceptions=exceptions)
    sys.modules.update({"mlflow": package, "mlflow.entities": entities, "mlflow.exceptions": exceptions})


def runs_in(file: Path) -> list[dict[str, Any]]:
    """All runs of a server's file."""
    return list(json.loads(file.read_text())["runs"].values()) if file.exists() else []
