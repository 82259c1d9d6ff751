"""Reading along with a launcher, and ending it politely: a process that beats and heeds Ctrl-C stands for it."""

import json
import os
import subprocess
import sys
import time

import pytest

from orchestrator.console.runs_view import event_text
from orchestrator.record.events import Closed, Launched, Outcome, TrialMoved
from orchestrator.record.launcher import open_log, stop_launcher
from orchestrator.record.state import State
from tests.helpers.records import ledger_at, opened, trial_plan
from workloads.errors import UserError

LAUNCHER = """
import sys, time
from orchestrator.record.heartbeat import heartbeat
from orchestrator.record.paths import RunPaths
try:
    with heartbeat(RunPaths(sys.argv[1], "run"), 10.0):
        print("beats", flush=True)
        time.sleep(600)
except KeyboardInterrupt:
    pass
"""


@pytest.fixture
def storage(tmp_path):
    _, ledger = ledger_at(tmp_path, "run", opened(trials=(trial_plan("a"),)))
    ledger.append(Launched("launch"))
    ledger.append(TrialMoved("a", State.RUNNING))
    return tmp_path


def beat(storage, **facts):
    known = {"pid": os.getpid(), "host": "elsewhere", "time": time.time(), "period": 10.0}
    (storage / "run" / "heartbeat.json").write_text(json.dumps(known | facts))


def test_a_launcher_on_this_machine_is_ended_and_its_end_waited_for(storage):
    words = [sys.executable, "-c", LAUNCHER, str(storage)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "beats\n"
        while not (storage / "run" / "heartbeat.json").exists():
            time.sleep(0.05)
        assert stop_launcher(str(storage), "run") == process.pid
        assert process.wait(60) == 0


def test_one_on_another_host_is_refused_with_what_to_do(storage):
    beat(storage)
    with pytest.raises(UserError, match="works on another host") as refused:
        stop_launcher(str(storage), "run")
    assert "stop run --address" in refused.value.fix


def test_where_none_works_there_is_nothing_to_stop(storage):
    with pytest.raises(UserError, match="no launcher works on run"):
        stop_launcher(str(storage), "run")
    beat(storage, time=time.time() - 3600)
    with pytest.raises(UserError, match="no launcher works on run"):
        stop_launcher(str(storage), "run")


def test_a_log_is_the_last_events_and_ends_with_the_launch(storage):
    (storage / "run" / "ray").mkdir()
    log = open_log(str(storage), "run")
    assert [folder.name for folder in log.folders] == ["ray"]
    assert [event_text(event) for event in log.events(1, follow=True)] == ["trial a is running"], "no launcher works"
    assert len(list(log.events(0, follow=False))) == 3
    assert event_text(Closed(Outcome.INTERRUPTED)) == "the launcher ends: interrupted"
