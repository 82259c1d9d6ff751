"""A cluster of four nodes on this machine: a sweep and data-parallel training over it."""

import time
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
from ray.util.state import list_actors

from orchestrator.clusters.session import node_resources, ray_session
from orchestrator.planning.capacity import slots
from orchestrator.record.ledger import Ledger, read_events
from orchestrator.record.paths import RunPaths
from orchestrator.record.replay import replay
from orchestrator.record.state import State
from tests.helpers.launches import nodes_of_one_cpu, request_for, run
from tune_spaces.schema import Resources

pytestmark = pytest.mark.ray

FLOW = """
from tune_spaces.schema import Data, Scheduler, Space
SPACE = Space(
    workload="flow",
    data=Data(name="digits", side=8, classes=("3",), max_train_images=48),
    fixed={"hierarchy": "none", "score": "likelihood", "scales": 1, "steps": 2, "hidden": 16, "epochs": 1.0,
           "batch_size": 8, "init_batches": 1, "flip": False},
    scheduler=Scheduler(kind="fifo"),
    select_by="likelihood",
)
"""


@pytest.fixture(scope="module")
def four_nodes():
    """One of their CPUs is left for reading."""
    with nodes_of_one_cpu(4) as cluster, ray_session(address=cluster.address):
        yield cluster


def scores(paths):
    trial = next(iter(Ledger(paths).state.trials.values()))
    table = pq.read_table(str(paths.trial(trial.id).scores(1000))).to_pandas()
    table = table.astype(dict.fromkeys(("target", "split", "part"), str))
    return table.sort_values(["target", "split", "part", "image_id"])["score"].to_numpy()


def train_workers(cluster):
    """The nodes of Ray Train's workers by actor, also of those that have ended."""
    dashboard = f"http://{cluster.webui_url}"  # without it Ray asks whichever cluster of this machine it meets first
    found = list_actors(address=dashboard, filters=[("class_name", "=", "RayTrainWorker")], limit=10_000)
    return {actor.actor_id: actor.node_id for actor in found}


def test_the_smoke_sweep_over_four_nodes_ends_under_its_own_scheduler(four_nodes, tmp_path):
    assert slots(Resources(), node_resources()) == 3
    request = request_for(tmp_path, name="wide", points=4)
    assert request.space.scheduler.kind == "asha"
    code, said = run(request)
    assert code == 0, said
    state = Ledger(RunPaths(str(tmp_path), "wide")).state
    ended = Counter(trial.state for trial in state.trials.values())
    assert ended[State.FINISHED] >= 1
    assert ended.total() == ended[State.FINISHED] + ended[State.STOPPED] == 4
    assert all(500 in trial.rungs for trial in state.trials.values())
    assert replay(read_events(RunPaths(str(tmp_path), "wide"))).measured.slots == 3
    wait_until_free(4)


def wait_until_free(cpus):
    """What the trials that were stopped held is given back."""
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU", 0) < cpus:
        assert time.monotonic() < deadline, ray.available_resources()
        time.sleep(0.5)


def test_two_nodes_share_every_batch_of_a_flow_and_reach_the_scores_of_one(four_nodes, tmp_path):
    space = tmp_path / "small_flow.py"
    space.write_text(FLOW)
    found, on = {}, {}
    for workers in (1, 2):
        before = train_workers(four_nodes)
        storage = tmp_path / str(workers)
        storage.mkdir()
        executor = "local" if workers == 1 else "ray"
        loaded = request_for(
            storage, space, name="flow", executor=executor, preset=None, workers=workers, share="batches"
        )
        code, said = run(loaded)
        assert code == 0, said
        found[workers] = scores(RunPaths(str(storage), "flow"))
        on[workers] = [node for actor, node in train_workers(four_nodes).items() if actor not in before]
    assert len(on[2]) == len(set(on[2])) == 2
    np.testing.assert_allclose(found[2], found[1], rtol=1e-3, atol=1e-3)
