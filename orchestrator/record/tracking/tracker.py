"""MLflow, made from the ledger: one parent run a sweep, one child a trial. Syncing twice changes nothing.

The ledger is the truth and also the spool: if the server is away, the next sync catches up. What was deleted in MLflow
and is synced again is restored.
"""

import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.record.events import RungMetrics
from orchestrator.record.labels import (
    PAGES,
    compare_page,
    dataset_of,
    description,
    model_page,
    outcome_of,
    params_of,
    run_name,
    run_page,
    run_params,
    seed_numbers,
    server_of,
    source_tags,
    trial_names,
)
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import ARTIFACTS, RunPaths
from orchestrator.record.provenance import without_secrets
from orchestrator.record.state import Outcome, RunState, State, TrialState
from orchestrator.record.tracking.machine import SAMPLE_S, Machine
from orchestrator.record.tracking.model import log_winner
from orchestrator.record.tracking.store import experiment_of, follow_the_storage, make_database, reach
from workloads.files import DamagedFileError, read_checked

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else a thread tells its makers what is called
os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the next sync tries again anyway
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

UID_TAG, RUN_TAG, TRIAL_TAG = "orchestrator.uid", "orchestrator.run", "orchestrator.trial"
PARENT_TAG = "mlflow.parentRunId"
LOGGED_TAG = "orchestrator.rungs_logged"
ANALYSES_TAG = "orchestrator.analyses_logged"
BEST_TAG, MODEL_TAG = "best_trial", "orchestrator.model"
REPORT_TAG = "orchestrator.report_logged"
STATUS = {
    State.FINISHED: "FINISHED",
    State.STOPPED: "FINISHED",  # it did as planned: its name and its tag `outcome` say that it was stopped, and where
    State.FAILED: "FAILED",
    State.INTERRUPTED: "KILLED",
}
REPORT = "report.md"
"""Of a report's files the last to be written."""
END_OF_SCHEDULE = 1000
"""The step of what is of the end: thousandths of the schedule."""
END_S, PAUSE_S = 60.0, 30.0
"""Seconds that the end of a launch waits for MLflow, and from a sync that failed to the next."""
STATUS_OF_OUTCOME = {
    Outcome.COMPLETE: "FINISHED",
    Outcome.SOME_FAILED: "FINISHED",
    Outcome.FAILED: "FAILED",
    Outcome.INTERRUPTED: "KILLED",
}


def milliseconds() -> int:
    """Since 1970, as MLflow has times."""
    return int(time.time() * 1000)


def shown_numbers(metrics: RungMetrics) -> dict[str, float | None]:
    """Every number, those of the AUROC first, and the ends of intervals: of `auroc/mean`, `auroc_low/mean` and
    `auroc_high/mean`. MLflow compares by the first."""
    known = {name.partition("/"): ends for name, ends in metrics.intervals.items() if ends is not None}
    ends = {
        f"{kind}_{end}/{rest}": value
        for (kind, _, rest), interval in known.items()
        for end, value in zip(("low", "high"), interval, strict=True)
    }
    ordered = dict(sorted(metrics.numbers.items(), key=lambda item: not item[0].startswith("auroc/")))
    return {**ordered, **ends, "train_seconds": metrics.train_seconds}


class Tracker:
    """Mirrors one run's ledger into MLflow. uri: None for a database in the storage, which is a local one then."""

    def __init__(self, paths: RunPaths, uri: str | None, experiment: str) -> None:
        self.paths, self.uri, self.name = paths, uri or paths.database, experiment
        self.client: Any = None  # connected at the first sync: a server that is away must not stop a launch
        self.experiment = ""
        self.page = ""  # the link of the run in MLflow's pages, once it is there
        self.runs: dict[str, str] = {}  # "" for the parent, else the trial -> MLflow's run id
        self.logged: dict[str, set[int]] = {}
        self.status: dict[str, str] = {}
        self.machine = Machine()
        self.points: list[tuple[int, dict[str, float]]] = []  # (ms since 1970, means by name) that are not logged yet
        self.damaged: set[str] = set()  # what was said of damaged files
        self.remarks: list[str] = []  # what the user must know of what was met in MLflow

    def connect(self) -> None:
        import mlflow
        from mlflow.store.db import utils

        for name in ("mlflow", "alembic"):  # after the import, which sets its own level
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(utils.__name__).setLevel(logging.CRITICAL)  # what it logs it raises, and `follow` says it
        utils.MAX_RETRY_COUNT = 1  # ten attempts take 100 s, and the next sync is one
        self.paths.root.mkdir(parents=True, exist_ok=True)
        make_database(self.uri)
        client = mlflow.MlflowClient(self.uri)
        # a server knows where its artifacts belong; with a bare database they belong to the storage
        location = None if self.uri.startswith("http") else str(self.paths.root / ARTIFACTS)
        self.experiment, restored = experiment_of(client, self.name, location)
        if self.uri == self.paths.database:
            follow_the_storage(Path(str(self.paths.root)))
        if restored:
            remark = f"the experiment {self.name} had been deleted in MLflow, and is restored; other runs of it are not"
            self.remarks.append(remark)
        self.client = client

    def forget(self) -> None:
        """After a failure: what is known of MLflow may be true no more."""
        self.client = None
        for known in (self.runs, self.logged, self.status):
            known.clear()

    def run_of(self, state: RunState, key: str, name: str, tags: dict[str, str], params: dict[str, Any]) -> str:
        """The MLflow run of a trial (or of the sweep, key ""), found by its tags or created.

        The `uid` is the ledger's own: two people's runs of one name on one server stay two.
        """
        from mlflow.entities import Param, ViewType

        uid = state.opened.uid
        if key in self.runs:
            return self.runs[key]
        query = f"tags.`{UID_TAG}` = '{uid}' and tags.`{TRIAL_TAG}` = '{key or 'sweep'}'"
        matches = self.client.search_runs([self.experiment], query, ViewType.ALL)
        if matches:
            run = min(matches, key=lambda match: match.info.lifecycle_stage)  # "active" before "deleted"
            self.make_whole(run, tags)
            self.logged[key] = {int(r) for r in run.data.tags.get(LOGGED_TAG, "").split(",") if r}
        else:
            identity = {UID_TAG: uid, RUN_TAG: self.paths.run, TRIAL_TAG: key or "sweep", "mlflow.runName": name}
            run = self.client.create_run(self.experiment, tags=identity | tags)
        if not run.data.params:  # they come last: whoever began this and failed is made up for
            self.describe(run.info.run_id, state, state.trials.get(key))
            self.client.log_batch(run.info.run_id, params=[Param(k, str(v)) for k, v in params.items()])
        self.runs[key], self.status[key] = run.info.run_id, run.info.status
        return run.info.run_id

    def make_whole(self, run: Any, tags: Mapping[str, str]) -> None:
        """A run that was deleted is there again, and a trial's parent is the one that is there."""
        if run.info.lifecycle_stage == "deleted":
            self.client.restore_run(run.info.run_id)
            self.remarks.append(f"{run.info.run_name} had been deleted in MLflow, and is restored")
        parent = tags.get(PARENT_TAG)
        if parent and run.data.tags.get(PARENT_TAG) != parent:
            self.client.set_tag(run.info.run_id, PARENT_TAG, parent)

    def sample(self, *, last: bool = False) -> bool:
        """Look at the machine where that is due, or for the `last` time; whether there is something to log of it."""
        with suppress(Exception):  # where a machine shows little of itself, its charts stay empty
            if means := self.machine.sample(last=last):
                self.points.append((milliseconds(), means))
        return bool(self.points)

    def log_machine(self, state: RunState) -> None:
        """What the machine was busy with, at steps of seconds since the run was opened."""
        if state.closed and self.status[""] == "RUNNING":
            self.sample(last=True)
        opened = datetime.fromisoformat(state.opened.time).timestamp() if state.opened.time else 0.0
        for ms, means in self.points:
            self.log_numbers(self.runs[""], means, int(ms / 1000 - opened), ms)
        self.points.clear()

    def sync(self, state: RunState) -> None:
        """Bring MLflow to a run's state. Raises MLflow's own errors when it cannot be reached."""
        reach(self.uri)
        if self.client is None:
            self.connect()
        tags, names = source_tags(state), trial_names(state)
        parent = self.run_of(state, "", run_name(state, self.paths.run), tags, run_params(state))
        self.page = run_page(server_of(self.uri, PAGES), self.experiment, parent)
        for trial in state.trials.values():
            if trial.state != State.PENDING:
                self.sync_trial(state, trial, names[trial.id], tags | {PARENT_TAG: parent})
        self.log_machine(state)
        status = STATUS_OF_OUTCOME[state.closed.outcome] if state.closed else "RUNNING"
        if status == "FINISHED" and state.closed and state.closed.best:
            tags = self.client.get_run(parent).data.tags
            new_analyses = self.sync_analyses(state, state.closed.best, set(tags.get(ANALYSES_TAG, "").split()))
            report = digest_of(self.paths.report / REPORT)
            if new_analyses or self.status[""] != status or report != tags.get(REPORT_TAG, ""):
                self.finish(state, state.trials[state.closed.best])
                # last: where the report failed to go up it does with the next sync
                self.client.set_tag(parent, REPORT_TAG, report)
            if new_analyses:
                self.client.set_tag(parent, ANALYSES_TAG, new_analyses)
        self.close("", status)

    def sync_analyses(self, state: RunState, best: str, done: set[str]) -> str:
        """Numbers and pictures of what the winner has been through, on the parent, but for what was `done` before; the
        tag that says so, empty where none was new."""
        run = self.runs[""]
        events = {f"{key}@{event.trial}": event for key, event in state.analyses.items() if event.trial == best}
        for event in (e for key, e in events.items() if key not in done):
            path = self.paths.analysis(event.name, event.target)
            finding = json.loads(read_checked(path))
            numbers = {f"analysis/{event.name}/{key}/{event.target}": v for key, v in finding["numbers"].items()}
            self.log_numbers(run, numbers, END_OF_SCHEDULE)
            files = [path, *(path.parent / file for file in finding["pictures"].values())]
            self.log_files(run, files, f"analyses/{event.name}")
        return " ".join(sorted(events)) if events.keys() - done else ""

    def sync_trial(self, state: RunState, trial: TrialState, name: str, tags: dict[str, str]) -> None:
        run = self.run_of(state, trial.id, name, tags | {"identity.trial": trial.id}, params_of(state, trial))
        done = self.logged.setdefault(trial.id, set())
        for rung, metrics in sorted(trial.rungs.items()):
            if rung in done:
                continue
            whole = self.log_rung(run, trial, rung, metrics)
            if not whole and rung == trial.reached:  # its scores are made again by whoever takes up the run
                continue
            done.add(rung)
            self.client.set_tag(run, LOGGED_TAG, ",".join(map(str, sorted(done))))
        if self.status.get(trial.id) != STATUS.get(trial.state, "RUNNING"):
            self.client.set_tag(run, "mlflow.runName", name)
            self.client.set_tag(run, "outcome", outcome_of(trial))
            if trial.error:
                self.client.set_tag(run, "error", trial.error)
            elif "error" in self.client.get_run(run).data.tags:  # of an attempt before this one
                self.client.delete_tag(run, "error")
        self.close(trial.id, STATUS.get(trial.state, "RUNNING"))

    def log_rung(self, run: str, trial: TrialState, rung: int, metrics: RungMetrics) -> bool:
        """Metrics at step `rung` (thousandths of the schedule) and the rung's score file; whether that is whole, or is
        not there at all."""
        self.log_numbers(run, shown_numbers(metrics), rung)
        scores = self.paths.trial(trial.id).scores(rung)
        if not self.paths.ledger.exists():
            raise FileNotFoundError(f"the storage {self.paths.root} is away")  # the next sync has the scores
        if scores.exists():
            try:
                self.log_files(run, [scores], "scores")
            except DamagedFileError as error:  # the rest goes on, and the numbers are the ledger's
                remark = f"MLflow goes without {scores}: {error.headline}"
                self.remarks += [remark] if remark not in self.damaged else []
                self.damaged.add(remark)
                return False
        return True

    def log_files(self, run: str, files: Iterable[Any], artifact_path: str) -> None:
        with tempfile.TemporaryDirectory() as folder:  # artifacts go up from local files
            for file in files:
                (Path(folder) / file.name).write_bytes(read_checked(file))
            self.client.log_artifacts(run, folder, artifact_path)

    def log_numbers(
        self, run: str, numbers: Mapping[str, float | None], step: int, ms: int = 0, model: str = ""
    ) -> None:
        """What is undefined is not logged. ms: since 1970; the present where it is 0. model: that they are of, too."""
        from mlflow.entities import Metric

        ms = ms or milliseconds()
        defined = {name: value for name, value in numbers.items() if isinstance(value, int | float)}
        about = {"model_id": model, "run_id": run} if model else {}
        self.client.log_batch(run, [Metric(name, float(value), ms, step, **about) for name, value in defined.items()])

    def close(self, key: str, status: str) -> None:
        if self.status.get(key) == status:
            return
        if status == "RUNNING":
            self.client.update_run(self.runs[key], status="RUNNING")
        else:
            self.client.set_terminated(self.runs[key], status)
        self.status[key] = status

    def model_of(self, state: RunState, best: TrialState) -> str:
        """The id of the winner's logged model, which is made once."""
        run = self.runs[""]
        tags = self.client.get_run(run).data.tags
        if tags.get(BEST_TAG) == best.id and MODEL_TAG in tags:
            return str(tags[MODEL_TAG])
        model = log_winner(self.client, self.paths, state, best, (run, self.runs[best.id]), END_OF_SCHEDULE)
        self.client.set_tag(run, MODEL_TAG, model)
        return model

    def describe(self, run: str, state: RunState, trial: TrialState | None) -> None:
        """What is known of a run before it begins: its images, its whole config, and where its code comes from."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = DatasetInput(Dataset(**dataset_of(state)), [InputTag("mlflow.data.context", "training")])
        self.client.log_inputs(run, [data])
        provenance = {"provenance": state.opened.provenance.flat(), "space": state.opened.space}
        self.client.log_dict(run, trial.config if trial else provenance, "config.json" if trial else "run.json")

    def finish(self, state: RunState, best: TrialState) -> None:
        """The winner as a model, its numbers, the report, and a description that leads to them, on the parent."""
        run = self.runs[""]
        model = self.model_of(state, best)
        self.log_numbers(run, shown_numbers(best.last) | seed_numbers(state, best), END_OF_SCHEDULE, model=model)
        self.client.set_tag(run, BEST_TAG, best.id)
        winner, trials = self.runs[best.id], [key for trial, key in self.runs.items() if trial]
        links = {
            f"the winner, {trial_names(state)[best.id]}": run_page(server_of(self.uri), self.experiment, winner),
            "all trials beside each other": compare_page(server_of(self.uri), self.experiment, trials),
        }
        if model:
            links["the winner as a model"] = model_page(server_of(self.uri), self.experiment, model)
        self.client.set_tag(run, "mlflow.note.content", description(self.paths, state, links))
        if self.paths.report.exists():  # else its writing has failed, and the next one goes up
            self.log_files(run, self.paths.report.iterdir(), "report")


def digest_of(report: Any) -> str:
    """What tells a report from another; empty where there is none."""
    return hashlib.sha256(report.read_bytes()).hexdigest()[:16] if report.exists() else ""


@contextmanager
def mirrored(tracker: Tracker, ledger: Ledger, warn: Callable[[str], None], limit: float = END_S) -> Iterator[None]:
    """MLflow follows the ledger, in a thread of its own, so that a server that is slow or away delays no trial.

    On the way out it syncs a last time, until `limit` seconds or Ctrl-C; the user is told if that is not done by then.
    tracker: used in that thread alone. warn: takes a line for the user.
    """
    ending = threading.Event()
    ledger.changed.clear()  # what is there already is synced with what comes next
    thread = threading.Thread(target=follow, args=(tracker, ledger, warn, ending), name="mlflow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        ledger.changed.set()
        with suppress(KeyboardInterrupt):
            thread.join(limit)
        if thread.is_alive():
            warn(
                f"MLflow did not answer within {limit:g} s and lacks the end of this run. The ledger keeps "
                "everything: launching the run again logs what is missing"
            )


def follow(tracker: Tracker, ledger: Ledger, warn: Callable[[str], None], ending: threading.Event) -> None:
    """Sync after every change. A tracking server that is away must not stop training: the next sync catches up. Said
    once in a row."""
    failed = last = False
    while not last:
        if changed := ledger.changed.wait(SAMPLE_S):
            ledger.changed.clear()
        last = ending.is_set()  # looked at before the sync, which may end after more has happened
        if not (tracker.sample() or changed or last):
            continue
        # once more at once: what is known of MLflow may have been deleted there meanwhile
        reason = failure(tracker, ledger) and failure(tracker, ledger)
        if reason and not failed:
            warn(f"MLflow was not reached, the ledger keeps everything: {reason}")
        failed = bool(reason)
        if failed and not last:
            ending.wait(PAUSE_S)
        while tracker.remarks:
            warn(tracker.remarks.pop(0))


def failure(tracker: Tracker, ledger: Ledger) -> str:
    """Sync; why that failed, in a line, or an empty text."""
    try:
        tracker.sync(ledger.snapshot())
    except Exception as error:  # MLflow lets through its own errors, SQLAlchemy's and those of requests
        tracker.forget()
        lines = without_secrets(str(error).strip()).splitlines() or [type(error).__name__]
        return lines[0][:200]
    return ""
