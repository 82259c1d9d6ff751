"""A cluster of four nodes on this machine: sweeps and data-parallel training over it, and what the simulator says."""

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import free_ports, request_for, run

from orchestrator.cluster import QUIET, node_resources, ray_session
from orchestrator.ledger import Ledger, read_events
from orchestrator.packing import slots
from orchestrator.places import Places
from orchestrator.simulate import replay, simulate
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
    """One CPU a node, so that two workers are on two nodes; one of the four is left for reading."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.update(QUIET)
    from ray.cluster_utils import Cluster

    (port,) = free_ports(1)
    head = {"num_cpus": 1, "include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(3):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        with ray_session(address=cluster.address):
            yield cluster
    finally:
        cluster.shutdown()


def scores(places):
    trial = next(iter(Ledger(places).state.trials.values()))
    table = pq.read_table(str(places.trial(trial.id).scores(1000))).to_pandas()
    table = table.astype(dict.fromkeys(("target", "split", "part"), str))
    return table.sort_values(["target", "split", "part", "image_id"])["score"].to_numpy()


def test_a_sweep_over_four_nodes_ends_and_the_simulator_agrees_with_it(four_nodes, tmp_path):
    assert slots(Resources(), node_resources()) == 3
    request = request_for(tmp_path, name="wide", classes=["3"], points=4, scheduler="fifo")
    code, said = run(request)
    assert code == 0, said
    places = Places(str(tmp_path), "wide")
    recording = replay(read_events(places.ledger))
    assert recording.slots == 3
    assert len(recording.load.trials) == 4
    outcome = simulate(recording.load, 3)
    assert outcome.seconds == pytest.approx(recording.stages + recording.trials, rel=0.15)


def test_two_nodes_share_every_batch_of_a_flow_and_reach_the_scores_of_one(four_nodes, tmp_path):
    space = tmp_path / "small_flow.py"
    space.write_text(FLOW)
    found = {}
    for workers in (1, 2):
        storage = tmp_path / str(workers)
        storage.mkdir()
        loaded = request_for(storage, space, name="flow", preset=None, workers=workers, split="data")
        code, said = run(loaded)
        assert code == 0, said
        found[workers] = scores(Places(str(storage), "flow"))
    np.testing.assert_allclose(found[2], found[1], rtol=1e-3, atol=1e-3)
