"""A sweep handed to a running Ray that asks for a token, by a submitter that is killed; and every wrong way to ask."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestrator.clusters.session import private_folder
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import free_ports, request_for, run

pytestmark = pytest.mark.ray
COMMAND = [sys.executable, "-m", "orchestrator"]
PORTS = ("port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port", "metrics-export-port")
PORTS += ("dashboard-agent-grpc-port", "node-manager-port", "object-manager-port", "runtime-env-agent-port")
LONGER = ["detector_epochs=40"]  # so that the sweep is still at work when it is watched and stopped
SWEEP = ["sweep_digits", "--preset", "smoke", "--name", "handed", "--set", *LONGER]


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    path = tmp_path_factory.mktemp("auth") / "token"
    path.write_text(secrets.token_hex(32))
    return path


def environment(**own):
    """This process's, without what would lead to another Ray or another way to authenticate."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | {"PATH": path, "no_proxy": "*", "PYTHONPATH": ""} | own


@pytest.fixture(scope="module")
def head(token):
    """The job server's address of a real head with token authentication, beside any other Ray of this machine."""
    with private_folder() as folder:  # a short path: those of sockets lie in it
        yield from head_in(folder, token)


def head_in(folder, token):
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    words = [f"--{name}={port}" for name, port in ports.items()]
    words += ["--head", "--block", "--num-cpus=3", "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"]
    words += [f"--temp-dir={folder}", "--include-dashboard=true"]
    own = environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token))
    command = [str(Path(sys.executable).with_name("ray")), "start", *words]
    process = subprocess.Popen(
        command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        wait_for(lambda: ask(address) == 0, process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def ask(address):
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port)))


def wait_for(ready, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.3)


def orchestrate(*words, **own):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=environment(**own), timeout=300)
    return done.returncode, done.stdout + done.stderr


def events(storage):
    path = storage / "handed" / "ledger" / "000001.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def scores(paths):
    """(trial, rung) -> its per-image scores."""
    trials = Ledger(paths).state.trials
    return {
        (key, rung): pq.read_table(str(paths.trial(key).scores(rung))) for key in trials for rung in trials[key].rungs
    }


def test_a_wrong_way_to_ask_says_how_to_ask(head, token, tmp_path):
    launch = ["launch", *SWEEP, "--address", head, "--storage", str(tmp_path)]
    home = {"HOME": str(tmp_path)}  # where no token lies
    code, said = orchestrate(*launch, **home)
    assert code == 3
    assert "asks for a token, and there is none here" in said
    code, said = orchestrate(*launch, **home, RAY_AUTH_MODE="disabled", RAY_AUTH_TOKEN_PATH=str(token))
    assert code == 3
    assert "export RAY_AUTH_MODE=token" in said
    code, said = orchestrate(*launch, **home, RAY_AUTH_TOKEN="0" * 64)
    assert code == 3
    assert "refuses the token" in said
    assert "Traceback" not in said
    code, said = orchestrate("logs", "no-such-run", "--address", head, RAY_AUTH_TOKEN_PATH=str(token))
    assert code == 2
    assert not list(tmp_path.glob("handed*"))


def start_and_lose(words, storage, own, launches):
    """Submit, and kill the submitter once the launcher is at work on the cluster; what it had said."""
    command = [*COMMAND, *words, "--storage", str(storage)]
    submitter = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: sum(e["event"] == "launched" for e in events(storage)) == launches, submitter)
    submitter.send_signal(signal.SIGKILL)
    return submitter.communicate()[0]


def test_a_sweep_survives_its_submitters_and_gives_the_scores_of_a_local_one(head, token, tmp_path):
    secret, to, storage = {"RAY_AUTH_TOKEN_PATH": str(token)}, ["--address", head], tmp_path / "there"
    own = environment(**secret)
    said = start_and_lose(["launch", *SWEEP, *to], storage, own, launches=1)
    assert "goes on without this terminal" in said

    code, said = orchestrate("launch", *SWEEP, *to, "--storage", str(storage), **secret)
    assert code == 4
    assert "already goes on there" in said

    follow = [*COMMAND, "logs", "handed", "--follow", *to]
    watcher = subprocess.Popen(follow, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for _ in range(5):  # four lines about the job, and the first of its own: it watches
        assert watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    said = watcher.communicate(timeout=60)[0]
    assert watcher.returncode == 130, said
    assert "detached; the job goes on" in said
    assert "Traceback" not in said

    code, said = orchestrate("stop", "handed", *to, **secret)
    assert code == 0, said
    assert events(storage)[-1]["outcome"] == "interrupted"

    start_and_lose(["resume", "handed", *to], storage, own, launches=2)
    code, said = orchestrate("logs", "handed", "--follow", *to, **secret)
    assert code == 0, said
    assert "best configuration" in said
    _, said = orchestrate("cluster", "status", *to, **secret)
    assert "3 CPUs" in said
    assert "STOPPED" in said
    assert "SUCCEEDED" in said

    code, said = run(request_for(tmp_path / "here", name="handed", executor="local", set=LONGER))
    assert code == 0, said
    there, here = RunPaths(str(storage), "handed"), RunPaths(str(tmp_path / "here"), "handed")
    assert Ledger(there).state.closed.best == Ledger(here).state.closed.best
    theirs, ours = scores(there), scores(here)
    both = theirs.keys() & ours.keys()  # who is first at a rung is spared, so a worse trial may end there or go on
    assert sorted(rung for _, rung in both)[:3] == [500, 500, 1000]
    assert all(theirs[each].equals(ours[each]) for each in both)
