"""Joining a running cluster from a shell outside any job, whose code goes along; and a node that is lost."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from orchestrator.clusters.session import PATIENT, ray_session
from orchestrator.record.events import TrialMoved
from orchestrator.record.ledger import Ledger, read_events
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import State
from tests.helpers.launches import nodes_of_one_cpu, request_for, run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CPUS = 4  # a node each
LOOK_AROUND = """
import json, os, ray
from orchestrator.clusters.session import PATIENT, ray_session
from ray.train.v2._internal.constants import get_env_vars_to_propagate
(name,) = PATIENT

@ray.remote
def there():
    import orchestrator
    return os.environ[name], orchestrator.__file__

with ray_session(address="auto"):
    print(json.dumps([get_env_vars_to_propagate()[name], *ray.get(there.remote())]))
"""


@pytest.fixture(scope="module")
def nodes():
    with nodes_of_one_cpu(CPUS) as cluster:
        yield cluster


def from_outside(cluster, *words):
    """What a command prints that is given in a shell of a machine of the cluster."""
    way_in = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")  # the last: nodes are on loopback
    kept = {name: value for name, value in os.environ.items() if name in way_in or not name.startswith("RAY_")}
    kept["RAY_ADDRESS"] = cluster.address  # another Ray may run here: "auto" is this one
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=kept, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_auto_joins_from_outside_with_its_code_and_with_patience(nodes, tmp_path):
    (patience,) = PATIENT.values()
    in_train, in_a_task, code = json.loads(from_outside(nodes, "-c", LOOK_AROUND))
    assert in_train == in_a_task == patience
    assert "working_dir_files" in code
    words = ["launch", "sweep_digits", "--preset", "smoke", "--class", "3", "--points", "2", "--scheduler", "fifo"]
    words += ["--address", "auto", "--plain", "--storage", str(tmp_path), "--name", "outside"]
    assert "best configuration" in from_outside(nodes, "-m", "orchestrator", *words)
    trials = Ledger(RunPaths(str(tmp_path), "outside")).state.trials.values()
    assert [trial.state for trial in trials] == [State.FINISHED] * 2


def starts_in(paths):
    return sum(isinstance(event, TrialMoved) and event.state == State.RUNNING for event in read_events(paths))


def lose_a_training_node(cluster, paths, lost, seconds=240):
    """Once every worker has a trial: end a node that has one without a word, as a spot machine goes."""
    from ray.util.state import list_actors

    deadline = time.monotonic() + seconds
    while not lost and time.monotonic() < deadline:
        time.sleep(0.2)
        if starts_in(paths) < CPUS:
            continue
        alive = list_actors(
            address=f"http://{cluster.webui_url}",
            filters=[("state", "=", "ALIVE"), ("class_name", "=", "WarmWorker")],
        )
        busy = {actor.node_id for actor in alive}
        lost += [node for node in cluster.worker_nodes if node.node_id in busy][:1]
    if lost:
        cluster.remove_node(lost[0], allow_graceful=False)


def test_a_sweep_that_loses_a_node_ends_with_all_its_results(nodes, tmp_path):
    """As many slots as CPUs: the worker of that node has nowhere to come back to, and is handed no other trial."""
    paths, lost, points = RunPaths(str(tmp_path), "lossy"), [], CPUS + 2
    asked = request_for(tmp_path, name="lossy", points=points, scheduler="fifo", set=["detector_epochs=4.0"])
    with ray_session(address=nodes.address) as ray:
        threading.Thread(target=lose_a_training_node, args=(nodes, paths, lost), daemon=True).start()
        code, said = run(replace(asked, slots=CPUS))
        assert len(lost) == 1, said
        assert sum(node["Alive"] for node in ray.nodes()) == CPUS - 1
    assert code == 0, said
    began = starts_in(paths)
    assert began > points, "the trial of that node begins again, and so does one that read through it"
    state = Ledger(paths).state
    assert [trial.state for trial in state.trials.values()] == [State.FINISHED] * points
    assert all(paths.trial(key).scores(1000).exists() for key in state.trials)
    assert state.closed.outcome == "complete"
