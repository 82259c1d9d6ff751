"""A launcher that lives is told from one that was killed, whatever the storage."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from orchestrator.record.events import Closed, Launched, Outcome
from orchestrator.record.heartbeat import MISSED, heartbeat, is_alive, life_of
from orchestrator.record.paths import RunPaths
from tests.helpers.commands import orchestrate
from tests.helpers.records import ledger_at, opened

PERIOD = 0.25
LAUNCHER = f"""
import sys, time
from orchestrator.record.heartbeat import heartbeat
from orchestrator.record.paths import RunPaths
with heartbeat(RunPaths(sys.argv[1], "run"), {PERIOD}):
    print("beats", flush=True)
    time.sleep(600)
"""


def test_a_killed_launcher_is_dead_after_some_missed_beats(tmp_path):
    paths, ledger = ledger_at(tmp_path, "run", opened(), Launched("launch"))
    assert life_of(paths, ledger.state) == "dead"
    process = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "beats\n"
        deadline = time.monotonic() + 60
        while not is_alive(paths):
            assert time.monotonic() < deadline
            time.sleep(PERIOD / 4)
        assert life_of(paths, ledger.state) == "running"
        assert "outcome running" in orchestrate("status", "run", "--storage", tmp_path).stdout
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(PERIOD * (MISSED + 1))
    assert life_of(paths, ledger.state) == "dead"
    shown = orchestrate("status", "run", "--storage", tmp_path).stdout
    assert "run  outcome dead" in shown
    assert f"-m orchestrator resume run --storage {tmp_path}" in shown
    assert "resume it: " in orchestrate("runs", "ls", "--storage", tmp_path).stdout
    assert json.loads(orchestrate("status", "run", "--json", "--storage", tmp_path).stdout)["outcome"] == "dead"
    ledger.append(Closed(Outcome.INTERRUPTED))
    assert life_of(paths, ledger.state) == "interrupted"


@pytest.mark.parametrize("storage", ["local", "memory://beats"])
def test_a_launcher_that_ends_takes_its_sign_of_life_away(tmp_path, storage):
    paths = RunPaths(str(tmp_path) if storage == "local" else storage, "run")
    with heartbeat(paths, 0.05):
        time.sleep(0.3)
        first = json.loads(paths.heartbeat.read_bytes())
        time.sleep(0.3)
        assert json.loads(paths.heartbeat.read_bytes())["time"] > first["time"]
        assert first["pid"] == os.getpid()
    assert not paths.heartbeat.exists()
    assert not is_alive(paths)
