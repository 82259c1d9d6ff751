"""Auxiliary sets on two nodes and in an object store (a real S3 server on this machine): prepared by a job, streamed by
workers on both nodes, gone on with by another number of them, verified."""

import os
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from orchestrator.clusters.session import QUIET, ray_session
from orchestrator.data.auxiliary.datasource import worker_iterators
from orchestrator.data.auxiliary.manifest import Manifest
from orchestrator.data.auxiliary.windows import StreamSpec, stream_batches
from tests.helpers.files import pixels
from tests.helpers.launches import cluster_of, free_ports
from tests.helpers.s3 import bucket_of
from workloads.data.loaders import tiny_images

pytestmark = pytest.mark.ray
IMAGES, BATCH, POOL = 20_000, 16, 1 << 22
OUT = "s3://images/tiny"


@pytest.fixture(scope="module")
def store():
    """A bucket, that every process of the cluster reaches, too."""
    with bucket_of("images") as client:
        yield client


@pytest.fixture(scope="module")
def two_nodes(store):
    """The job server's address of two nodes of two CPUs; this process has joined them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        for name, value in QUIET.items():
            patch.setenv(name, value)
        (agent,) = free_ports(1)  # it takes jobs; another Ray may hold the usual port
        with cluster_of(num_cpus=2, dashboard_agent_listen_port=agent) as cluster:
            cluster.add_node(num_cpus=2)
            cluster.wait_for_nodes()
            with ray_session(address=cluster.address):
                yield f"http://{cluster.webui_url}"


def data(*words):
    command = [sys.executable, "-m", "orchestrator", "data", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def prepared(two_nodes, tmp_path_factory):
    """(what the command said, the images in the set's order)."""
    folder = tmp_path_factory.mktemp("source")
    images = pixels(IMAGES, 3, 32, 32)
    (folder / "tiny.bin").write_bytes(tiny_images.encode(images))
    words = ["--source", folder / "tiny.bin", "--out", OUT, "--choose", "all", "--shard-mb", "6", "--hold-out", "0"]
    code, message = data("prepare", "tiny_images", *words, "--address", two_nodes)
    assert code == 0, message
    return message, images


def test_a_job_prepares_into_the_store_with_tasks_on_both_nodes(prepared, two_nodes):
    from ray.util.state import list_tasks

    message, _ = prepared
    assert "20,000 train images" in message
    assert Manifest.read(OUT).count("rows") == IMAGES
    tasks = list_tasks(address=two_nodes, filters=[("state", "=", "FINISHED")], detail=True, limit=1000)
    assert len({task.node_id for task in tasks if "ReadAuxiliaryImages" in task.name}) == 2


def consumed(workers, start, end):
    """{step: rows of the batch} out of an epoch, by consumers on both nodes."""
    import ray

    @ray.remote(num_cpus=0.1, scheduling_strategy="SPREAD")
    def consume(spec, iterator, rank):
        tables = iterator.iter_batches(batch_size=None, batch_format="pyarrow")
        actual = [(b.rows, b.images) for b in islice(stream_batches(spec, tables, rank, start), end - start)]
        return ray.get_runtime_context().get_node_id(), actual

    spec = StreamSpec(OUT, "train", BATCH, workers, seed=5, pool_bytes=POOL)
    iterators = worker_iterators(spec, start * BATCH, end * BATCH)
    requested = [consume.remote(spec, iterator, rank) for rank, iterator in enumerate(iterators)]
    nodes, actual = zip(*ray.get(requested, timeout=120), strict=True)
    assert len(set(nodes)) == 2
    return [tuple(np.concatenate(parts) for parts in zip(*step, strict=True)) for step in zip(*actual, strict=True)]


def test_three_workers_stream_from_the_store_and_two_go_on_without_loss_or_repetition(prepared):
    _, images = prepared
    steps, kill = IMAGES // BATCH, 417
    rows = []
    for rows_of_batch, actual in consumed(3, 0, kill) + consumed(2, kill, steps):
        np.testing.assert_array_equal(actual.reshape(-1, 3, 32, 32), images[rows_of_batch])
        rows.append(rows_of_batch)
    assert Counter(np.concatenate(rows).tolist()) == Counter(range(IMAGES))


def test_verify_names_the_object_with_the_flipped_byte(prepared, store):
    key = "tiny/shards/train-000003.parquet"
    raw = bytearray(store.get_object(Bucket="images", Key=key)["Body"].read())
    raw[100_000] ^= 1
    store.put_object(Bucket="images", Key=key, Body=bytes(raw))
    code, message = data("verify", OUT, "--plain")
    assert code == 1
    assert "train-000003.parquet: other bytes" in message
