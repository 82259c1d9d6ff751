"""Ctrl-C in the middle of a real sweep, then `status` and `resume`, all through the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import mlflow
import pytest

pytestmark = pytest.mark.ray
COMMAND = [sys.executable, "-m", "orchestrator"]


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


def test_ctrl_c_then_resume_repeats_nothing_that_was_finished(tmp_path):
    words = ["launch", "sweep_digits", "--preset", "smoke", "--name", "stopme", "--points", "4", "--scheduler", "fifo"]
    # one trial at a time, long enough that the second is under way when the first has ended
    words += ["--set", "detector_epochs=20", "--cpus", "1", "--storage", str(tmp_path)]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(tmp_path, process, lambda e: e.get("state") == "finished")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "resume stopme" in out
    status = subprocess.run([*COMMAND, "status", "stopme", "--storage", str(tmp_path)], capture_output=True, text=True)
    assert "interrupted" in status.stdout
    finished = {e["trial"] for e in events(tmp_path) if e.get("state") == "finished"}
    assert 1 <= len(finished) < 4
    before = {p: p.stat().st_mtime_ns for t in finished for p in (tmp_path / "stopme" / "trials" / t).rglob("*.*")}
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("sweep_digits").experiment_id
    ids = {r.info.run_id for r in client.search_runs([experiment])}
    assert not [r for r in client.search_runs([experiment]) if r.info.status == "RUNNING"]

    done = subprocess.run(
        [*COMMAND, "resume", "stopme", "--storage", str(tmp_path), "--cpus", "2"],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before
    runs = client.search_runs([experiment])
    assert len(runs) == 5
    assert ids <= {r.info.run_id for r in runs}
    assert {r.info.status for r in runs} == {"FINISHED"}
