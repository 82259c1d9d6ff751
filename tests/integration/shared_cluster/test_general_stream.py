"""The stream on real Ray Data: exact order, two workers, SIGKILL in the middle of an epoch and the continuation."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
import torch

from orchestrator.data.auxiliary import streamed
from orchestrator.data.auxiliary.datasource import read_pieces, worker_iterators
from orchestrator.data.auxiliary.deduplication import Deduplication
from orchestrator.data.auxiliary.manifest import Manifest, ShardLayout
from orchestrator.data.auxiliary.prepare import begin, make
from orchestrator.data.auxiliary.reading import pixels as column_pixels
from orchestrator.data.auxiliary.sources import open_source
from orchestrator.data.auxiliary.streamed import AuxiliaryStream
from orchestrator.data.auxiliary.windows import StreamSpec, stream_batches
from tests.helpers.files import pixels, write_image
from tests.helpers.streams import row_at
from workloads.data.duplicates import Known
from workloads.data.loaders import tiny_images
from workloads.errors import UserError
from workloads.training.distributed import Parallel

pytestmark = pytest.mark.ray
POOL = 1 << 21
BATCH = 16
IMAGES = 5003


@pytest.fixture(scope="module")
def prepared(cluster, tmp_path_factory):
    """(path, images): 5,003 images, of which row groups have 64."""
    folder = tmp_path_factory.mktemp("general")
    images = pixels(IMAGES, 3, 32, 32)
    (folder / "tiny.bin").write_bytes(tiny_images.encode(images))
    source = open_source("tiny_images", str(folder / "tiny.bin"), side=32, choose="all")
    make(begin(source, str(folder / "set"), ShardLayout(3, 32, 64, 640), None), lambda *_: None)
    return str(folder / "set"), images


def test_the_datasource_streams_a_source_through_ray_data(cluster, tmp_path):

    images = pixels(500, 3, 32, 32)
    (tmp_path / "tiny.bin").write_bytes(tiny_images.encode(images))
    source = open_source("tiny_images", str(tmp_path / "tiny.bin"), side=32, choose="all")
    dataset = read_pieces(source, source.pieces(128), ShardLayout(3, 32, 64, 128))
    actual = {}
    for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
        rows = column_pixels(table.column("image").combine_chunks()).reshape(-1, 3, 32, 32)
        actual |= dict(zip(table.column("id").to_pylist(), rows, strict=True))
    assert sorted(actual) == [f"tiny_images/{i:08d}" for i in range(500)]
    np.testing.assert_array_equal(np.stack([actual[name] for name in sorted(actual)]), images)


def test_the_stream_hands_out_the_pure_order_over_epochs(prepared):
    path, images = prepared
    spec = StreamSpec(path, "train", BATCH, 1, seed=5, pool_bytes=POOL)
    steps = 2 * IMAGES // BATCH
    stream = AuxiliaryStream(spec, Parallel(), torch.device("cpu"), start=0, total=steps)
    rows = []
    for step in range(steps):
        actual = stream.images(step)
        np.testing.assert_array_equal(actual.numpy(), images[stream.rows])
        rows.append(stream.rows)
    for step in (0, 100, IMAGES // BATCH, steps - 1):
        assert sorted(rows[step]) == sorted(row_at(spec.order, step * BATCH + i) for i in range(BATCH))
    assert set(Counter(np.concatenate(rows)[: IMAGES // BATCH * BATCH].tolist()).values()) == {1}
    with pytest.raises(ValueError, match="was due"):
        stream.images(0)
    stream.close()


def test_two_consumers_of_streaming_split_have_the_batches_of_one(prepared):
    path, _ = prepared
    spec = StreamSpec(path, "train", BATCH, 2, seed=5, pool_bytes=POOL)
    start, end = 100, 400
    actual: dict[int, list] = {0: [], 1: []}

    def consume(rank, iterator):
        tables = iterator.iter_batches(batch_size=None, batch_format="pyarrow")
        actual[rank] = [b.rows for b in stream_batches(spec, tables, rank, start) if b.step < end]

    iterators = worker_iterators(spec, start * BATCH, end * BATCH)
    threads = [threading.Thread(target=consume, args=pair) for pair in enumerate(iterators)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    order = spec.order
    for step in range(start, end, 37):
        side_by_side = np.concatenate([actual[0][step - start], actual[1][step - start]])
        expected = [row_at(order, step * BATCH + i) for i in range(BATCH)]
        assert side_by_side.tolist() == expected  # as many lanes as images of a batch: the order itself


def test_a_set_without_an_end_is_one_dataset_after_the_other(prepared, monkeypatch):
    """Other seeds open other streams; an earlier step may be asked for again, as after a resume."""
    path, images = prepared
    monkeypatch.setattr(streamed, "SEGMENT", 1)
    stream = streamed.StreamedSet(path, IMAGES, 3, torch.device("cpu"))
    order = StreamSpec(path, "train", BATCH, 1, 5, max_images=IMAGES).order

    def expected(step):
        return images[[row_at(order, step * BATCH + i) for i in range(BATCH)]]

    opened = set()
    for step in range(330):
        actual = stream.batch(5, BATCH, step, Parallel())
        opened.add(id(stream.open))
        if step % 55 == 0 or 310 < step < 315:
            np.testing.assert_array_equal(actual.numpy(), expected(step))
    assert len(opened) > 1
    assert not np.array_equal(stream.batch(6, BATCH, 0, Parallel()).numpy(), expected(0))
    np.testing.assert_array_equal(stream.batch(5, BATCH, 40, Parallel()).numpy(), expected(40))
    stream.open.close()


CONSUMER = """
import ray, sys, torch
from orchestrator.data.auxiliary.streamed import AuxiliaryStream
from orchestrator.data.auxiliary.windows import StreamSpec
from workloads.training.distributed import Parallel

address, path, total, pool = *sys.argv[1:3], *map(int, sys.argv[3:])
ray.init(address=address, log_to_driver=False)
spec = StreamSpec(path, "train", 16, 1, seed=5, pool_bytes=pool)
stream = AuxiliaryStream(spec, Parallel(), torch.device("cpu"), start=0, total=total)
for step in range(total):
    stream.images(step)
    print(step, *stream.rows, flush=True)
"""


def test_an_epoch_killed_with_sigkill_continues_without_loss_or_repetition(cluster, prepared):
    """Begun by a process that is killed, gone on with by this one, which knows the step alone."""
    path, _ = prepared
    address = cluster.get_runtime_context().gcs_address
    steps = IMAGES // BATCH
    rows: dict[int, list[int]] = {}
    words = [sys.executable, "-c", CONSUMER, address, path, str(steps), str(POOL)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            step, *actual = map(int, line.split())
            rows[step] = actual
            if step == 101:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert max(rows) == 101
    spec = StreamSpec(path, "train", BATCH, 1, seed=5, pool_bytes=POOL)
    stream = AuxiliaryStream(spec, Parallel(), torch.device("cpu"), start=102, total=steps)
    for step in range(102, steps):
        stream.images(step)
        rows[step] = stream.rows.tolist()
    stream.close()
    assert sorted(rows) == list(range(steps))
    seen = Counter(row for actual in rows.values() for row in actual)
    assert set(seen.values()) == {1}
    assert len(seen) == steps * BATCH  # the epoch's last 11 images open the next batch


def test_a_set_with_too_many_bad_images_is_refused_with_where_they_are_named(cluster, tmp_path):
    for i in range(4):
        write_image(tmp_path / f"in/{i}.png")
        (tmp_path / f"in/broken-{i}.png").write_bytes(b"no image")
    source = open_source("folder", str(tmp_path / "in"), side=32)
    with pytest.raises(UserError, match="4 of 8 images") as caught:
        make(begin(source, str(tmp_path / "out"), ShardLayout(3, 32, 4, 4), None), lambda *_: None)
    assert "quarantine" in str(caught.value)
    assert not (tmp_path / "out/manifest.json").exists()


def test_copies_of_an_in_set_are_left_out_by_the_tasks(prepared, tmp_path):
    _, images = prepared
    source = open_source("tiny_images", str(tmp_path / "tiny.bin"), side=32, choose="all")
    (tmp_path / "tiny.bin").write_bytes(tiny_images.encode(images[:300]))
    deduplication = Deduplication({"some": "digest"}, Known.of(images[100:110], None))
    manifest = make(begin(source, str(tmp_path / "out"), ShardLayout(3, 32, 64, 128), deduplication), lambda *_: None)
    assert (manifest.count("rows"), manifest.count("exact_duplicates")) == (290, 10)
    assert Manifest.read(str(tmp_path / "out")) == manifest
