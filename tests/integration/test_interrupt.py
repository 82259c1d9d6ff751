"""Ctrl-C in the middle of a sweep, then `status` and `resume`: nothing that was finished is repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import mlflow
import psutil
import pytest

from orchestrator.execution.launch import launch
from orchestrator.execution.local import LocalExecutor
from orchestrator.record.state import Outcome
from tests.helpers.commands import orchestrate
from tests.helpers.launches import request_for


class Stopped(LocalExecutor):
    """Ctrl-C comes while the third trial runs."""

    trials = 0

    def attempt(self, task):
        self.trials += task.kind == "trial"
        if self.trials == 3:
            raise KeyboardInterrupt
        return (yield from super().attempt(task))


def events(storage):
    path = storage / "stopme" / "ledger" / "000001.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(storage, process, wanted, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if any(wanted(e) for e in events(storage)):
            return
        time.sleep(0.2)
    raise AssertionError("the sweep did not get that far")


def tracked(storage):
    """MLflow's runs of the sweep, by their ids."""
    client = mlflow.MlflowClient(f"sqlite:///{storage}/mlflow.db")
    experiment = client.get_experiment_by_name("sweep_digits").experiment_id
    return {run.info.run_id: run.info.status for run in client.search_runs([experiment])}


def assert_goes_on(storage, trials):
    """`status` tells of the interrupt; `resume` ends the rest and leaves alone what was finished."""
    assert "interrupted" in orchestrate("status", "stopme", "--storage", storage).stdout
    finished = {e["trial"] for e in events(storage) if e.get("state") == "finished"}
    assert 1 <= len(finished) < trials
    before = {p: p.stat().st_mtime_ns for t in finished for p in (storage / "stopme" / "trials" / t).rglob("*.*")}
    runs = tracked(storage)
    assert "RUNNING" not in runs.values()

    done = orchestrate("resume", "stopme", "--storage", storage, "--executor", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before
    again = tracked(storage)
    assert len(again) == 1 + trials
    assert runs.keys() <= again.keys()
    assert set(again.values()) == {"FINISHED"}


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path):
    finished = launch(request_for(tmp_path, name="stopme", points=4, scheduler="fifo"), executor=Stopped())
    assert finished.outcome == Outcome.INTERRUPTED
    assert "resume stopme" in finished.resume
    assert sorted(trial.state for trial in finished.state.trials.values()) == [
        "finished",
        "finished",
        "interrupted",
        "pending",
    ]
    assert_goes_on(tmp_path, trials=4)


def scripts_of(process):
    """The names of the programs and scripts of all that a process has started."""
    names = set()
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            names |= {Path(word).name for word in child.cmdline()}
    return names


@pytest.mark.ray
def test_ctrl_c_ends_a_sweep_on_ray_and_it_goes_on_without(tmp_path):
    words = ["launch", "sweep_digits", "--preset", "smoke", "--class", "3", "--points", "2", "--scheduler", "fifo"]
    # one trial at a time, long enough that the second is under way when the first has ended
    words += ["--set", "detector_epochs=20", "--cpus", "1", "--name", "stopme", "--storage", str(tmp_path)]
    command = [sys.executable, "-m", "orchestrator", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(tmp_path, process, lambda e: e.get("state") == "finished")
        running = scripts_of(process)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "resume stopme" in out
    assert "raylet" in running
    assert not running & {"dashboard.py", "monitor.py", "log_monitor.py"}, "nobody asks them"
    assert "core_worker" not in errors, "Ray's own lines reach the user"
    assert_goes_on(tmp_path, trials=2)
