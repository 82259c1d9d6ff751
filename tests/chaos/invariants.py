"""What must be so of a run after whatever has happened to it, from its ledger, MLflow and its files."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.record.ledger import read_events, read_state
from orchestrator.record.paths import RunPaths
from tests.chaos.tracking import runs_in
from tests.chaos.world import NAME, Place

SECONDS = ("train_seconds", "seconds", "costs", "macs_per_second", "facts", "warnings", "path")
"""Keys of files that differ between two undisturbed launches, or say what has happened on the way."""
UNSURE = re.compile(r"/ray/|(\.lock|\.damaged|heartbeat\.json|rates\.json(\.sha256)?)$")
"""Files that may be there or not."""
BY_NAME = re.compile(r"[0-9a-f]{12}\.(tensors\.safetensors|state\.json)$")
"""Files that are called by the hash of what is in them, seconds among it."""


@dataclass(frozen=True)
class Contents:
    """Of a run and of what it shares. files: name -> what is in it, seconds apart. runs: MLflow's, a trial each."""

    states: dict[str, str]
    rungs: dict[str, list[Any]]
    best: str | None
    outcome: str
    files: dict[str, Any]
    runs: dict[str, Any]


def contents(place: Place, run: str = NAME) -> Contents:
    """Raises whatever reading raises: after a run has come to its end all of it is readable."""
    paths = RunPaths(str(place.storage), run)
    state = read_state(paths, read_events(paths))
    closed = state.closed
    return Contents(
        {key: str(trial.state) for key, trial in state.trials.items()},
        {
            key: [timeless(vars(trial.rungs[rung])) for rung in sorted(trial.rungs)]
            for key, trial in state.trials.items()
        },
        closed and closed.best,
        str(closed and closed.outcome),
        dict(files_of(place, run)),
        mlflow_runs(place, state.opened.uid),
    )


def files_of(place: Place, run: str) -> Iterator[tuple[str, Any]]:
    """Of the run, stages, images and baselines."""
    for folder in (run, "stages", "data", "baselines"):
        for file in sorted((place.storage / folder).rglob("*")):
            name = str(file.relative_to(place.storage))
            if not file.is_dir() and not UNSURE.search(name) and "/ledger/" not in name:
                yield BY_NAME.sub(r"HASH.\1", name), what_is_in(file)


def what_is_in(file: Path) -> Any:
    if file.name.endswith(".state.json"):
        return "history"  # with seconds in it
    if file.suffix == ".json":
        return timeless(json.loads(file.read_text()))
    if file.suffix in (".sha256", ".html", ".md"):
        return "checked" if file.suffix == ".sha256" else bool(file.read_bytes())
    return hashlib.sha256(file.read_bytes()).hexdigest()


def timeless(value: Any) -> Any:
    if isinstance(value, dict) and "sha256" in value:
        return value["sha256"]["tensors.safetensors"]
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in SECONDS}
    if isinstance(value, list | tuple):
        return [timeless(item) for item in value]
    return value


def artifacts_of(run: dict[str, Any]) -> list[str]:
    """Names, of score tables the last one's alone: an earlier rung's that is lost before MLflow has it is not made
    again."""
    scores = sorted((name for name in run["artifacts"] if name.startswith("scores/")), key=lambda n: (len(n), n))
    return sorted(set(run["artifacts"]) - set(scores[:-1]))


def mlflow_runs(place: Place, uid: str) -> dict[str, Any]:
    """trial -> its runs: status, outcome, numbers, and the names of files."""
    held: dict[str, Any] = {}
    for run in runs_in(place.server):
        tags = run["tags"]
        if tags["orchestrator.uid"] == uid:
            numbers = {key: value for key, value in run["metrics"].items() if "seconds" not in key}
            shown = [run["status"], tags.get("outcome"), tags.get("error"), numbers, artifacts_of(run)]
            held.setdefault(tags["orchestrator.trial"], []).append(shown)
    return held


def differences(there: Contents, expected: Contents, *, in_order: bool = True) -> list[str]:
    """What of a run is not as it is without any disturbance, in words. in_order: else other trials may be stopped."""
    if not in_order:
        stopped = {key for key, state in there.states.items() if state != expected.states[key]}
        there, expected = without(there, stopped), without(expected, stopped)
    wrong = [
        f"{name}: {getattr(there, name)}"
        for name in ("states", "best", "outcome")
        if getattr(there, name) != getattr(expected, name)
    ]
    wrong += [f"rungs of {key}" for key, rungs in expected.rungs.items() if there.rungs.get(key) != rungs]
    wrong += [f"left behind: {name}" for name in there.files.keys() - expected.files.keys()]
    wrong += [f"lost: {name}" for name in expected.files.keys() - there.files.keys()]
    wrong += [f"another {name}" for name, value in expected.files.items() if there.files.get(name, value) != value]
    wrong += [
        f"MLflow's runs of {key}: {there.runs.get(key)}"
        for key, runs in expected.runs.items()
        if there.runs.get(key) != runs
    ]
    return wrong


def without(contents: Contents, trials: set[str]) -> Contents:
    """All but some trials, and what depends on how many have ended."""

    def kept(values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if not any(trial in key for trial in trials)}

    files = {name: value for name, value in kept(contents.files).items() if "/report/" not in name}
    return replace(
        contents, states=kept(contents.states), rungs=kept(contents.rungs), files=files, runs=kept(contents.runs)
    )


def redone(place: Place, *, stages: bool = True) -> int:
    """Training steps that were taken again, with those of stages or of trials alone."""
    steps = place.work.read_text().splitlines() if place.work.exists() else []
    return sum(count - 1 for step, count in Counter(steps).items() if stages or " noise " in step)
