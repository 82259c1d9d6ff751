"""Auxiliary sets at size: what the stream gives beside the disk, other loaders and a tensor in memory; ratios printed.

GENERAL_GB=4 makes the sets larger (default 1). Everything is read from a cold page cache. The machine that printed a
figure belongs beside it.
"""

import io
import os
import tarfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import ray
import torch

from orchestrator.clusters.session import ray_session
from orchestrator.data.auxiliary.datasource import worker_iterators
from orchestrator.data.auxiliary.manifest import Manifest
from orchestrator.data.auxiliary.order import POOL_BYTES
from orchestrator.data.auxiliary.reading import pixels, row_group
from orchestrator.data.auxiliary.streamed import AuxiliaryStream
from orchestrator.data.auxiliary.windows import StreamSpec, stream_batches
from tests.benchmarks.general_sets import cool, peak_memory, prepared_set, shuffling
from workloads.training.distributed import Parallel

pytestmark = pytest.mark.benchmark
GB = float(os.environ.get("GENERAL_GB", "1"))
BATCH = 64


@pytest.fixture(scope="module")
def cluster():
    with ray_session() as session:
        yield session


@pytest.fixture(scope="module")
def prepared(cluster, tmp_path_factory):
    return prepared_set(tmp_path_factory.mktemp("general"), GB)


def files(manifest):
    return [str(manifest.file(shard)) for shard in manifest.shards]


def sequential(manifest):
    """Images/s of reading the shards' bytes from first to last, by this process alone."""
    cool(files(manifest))
    begun = time.perf_counter()
    for file in files(manifest):
        with open(file, "rb", buffering=0) as opened:
            while opened.read(1 << 22):
                pass
    return manifest.count("rows") / (time.perf_counter() - begun)


@ray.remote(num_cpus=0)
class Consumer:
    def warm(self):
        return True

    def consume(self, spec, iterator, rank, start, steps):
        tables = iterator.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)
        rows, marks = [], []
        for batch in islice(stream_batches(spec, tables, rank, start), steps):
            marks = [marks[0] if marks else time.time(), time.time()]
            rows.append(batch.rows)
        return np.stack(rows), marks


def streamed(manifest, epoch):
    """(images/s into two consumers over an epoch, from asking for the first to having the last; the same from having
    the first; the order). Cold, as if the run had been killed and went on there."""
    count = manifest.count("rows")
    spec = StreamSpec(manifest.path, "train", BATCH, 2, 0)
    start, end = -(-epoch * count // BATCH), (epoch + 1) * count // BATCH
    consumers = [Consumer.remote() for _ in range(2)]
    ray.get([c.warm.remote() for c in consumers])
    cool(files(manifest))
    begun = time.time()
    iterators = worker_iterators(spec, start * BATCH, end * BATCH)
    requested = [c.consume.remote(spec, iterators[rank], rank, start, end - start) for rank, c in enumerate(consumers)]
    actual, marks = zip(*ray.get(requested), strict=True)
    first, last = max(m[0] for m in marks), max(m[1] for m in marks)
    order = np.concatenate(actual, axis=1).reshape(-1)
    assert len(np.unique(order)) == len(order)
    return len(order) / (last - begun), len(order) / (last - first), order


class Mapped(torch.utils.data.Dataset):
    """Raw pixels in one file, mapped: how such a set is usually fed."""

    def __init__(self, file, count):
        self.file, self.count = file, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if not hasattr(self, "images"):
            self.images = np.memmap(self.file, np.uint8, mode="r", shape=(self.count, 3072))
        return torch.from_numpy(self.images[i].copy()), i


def data_loader(manifest, folder):
    raw = folder / "raw.bin"
    with raw.open("wb") as opened:
        for shard in manifest.shards:
            for group in range(len(shard.groups)):
                opened.write(pixels(row_group(str(manifest.file(shard)), group).column("image")).data)
    cool([raw])
    loader = torch.utils.data.DataLoader(Mapped(raw, manifest.count("rows")), BATCH, shuffle=True, num_workers=2)
    rows, begun, seen = [], time.perf_counter(), 0
    for _, actual in loader:
        rows.append(actual.numpy())
        seen += len(actual)
        if time.perf_counter() - begun > 60:
            break
    rate = seen / (time.perf_counter() - begun)
    raw.unlink()
    return rate, np.concatenate(rows)


def web_dataset(manifest, folder):
    """Tars of raw pixels; a shuffled list of shards and a buffer of as many images as the stream's pool."""
    wds = pytest.importorskip("webdataset")
    paths, at = [], 0
    for number, shard in enumerate(manifest.shards):
        paths.append(str(folder / f"{number:05d}.tar"))
        with tarfile.open(paths[-1], "w") as tar:
            for group in range(len(shard.groups)):
                for image in pixels(row_group(str(manifest.file(shard)), group).column("image")):
                    info = tarfile.TarInfo(f"{at:08d}.bin")
                    info.size, at = len(image), at + 1
                    tar.addfile(info, io.BytesIO(image.tobytes()))
    cool(paths)
    pool = POOL_BYTES // 3072 // 2  # in each of two workers
    dataset = wds.WebDataset(paths, shardshuffle=len(paths), nodesplitter=None).shuffle(pool, initial=pool)

    def decoded(sample):
        return torch.frombuffer(bytearray(sample["bin"]), dtype=torch.uint8), int(sample["__key__"])

    loader = torch.utils.data.DataLoader(dataset.map(decoded), BATCH, num_workers=2)
    rows, begun, seen = [], time.perf_counter(), 0
    for _, actual in loader:
        rows.append(actual.numpy())
        seen += len(actual)
    rate = seen / (time.perf_counter() - begun)
    for path in paths:
        Path(path).unlink()
    return rate, np.concatenate(rows)


def test_print_images_a_second_beside_the_disk_and_other_loaders(prepared, tmp_path, capsys):
    runs = [(sequential(prepared), streamed(prepared, 0), streamed(prepared, 1)) for _ in range(3)]  # the disk varies
    disk, *epochs = zip(*runs, strict=True)
    with capsys.disabled():
        print(f"\n{prepared.count('rows'):,} images, {os.cpu_count()} cores, cold page cache, medians of {len(runs)}")
        print(f"sequential read      {median(disk):10,.0f} images/s ({', '.join(f'{d:,.0f}' for d in disk)})")
        for number, epoch in enumerate(epochs):
            stream, running = (median(values) for values in list(zip(*epoch, strict=True))[:2])
            order = epoch[-1][-1]
            summary = f"{stream / median(disk):.2f} of it, {shuffling(order, BATCH)}"
            print(f"stream, epoch {number}      {stream:10,.0f} images/s, {summary}")
            print(f"  from the first on  {running:10,.0f} images/s, {running / median(disk):.2f} of it")
        stream = median(rate for rate, _, _ in epochs[0])
        for name, other in (("DataLoader, memmap", data_loader), ("webdataset", web_dataset)):
            rate, order = other(prepared, tmp_path)
            summary = f"stream {stream / rate:.2f} times, {shuffling(order, BATCH)}"
            print(f"{name:20} {rate:10,.0f} images/s, {summary}")


def test_print_a_training_step_fed_by_the_stream_beside_one_in_memory(prepared, capsys):
    torch.set_num_threads(1)  # the other core reads
    convolutions = [torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(32, 32, 3, padding=1)]
    net = torch.nn.Sequential(*convolutions)
    optimiser = torch.optim.Adamax(net.parameters())
    held = torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8)

    def step(images):
        loss = net(images.float() / 256 - 0.5).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    spec = StreamSpec(prepared.path, "train", BATCH, 1, 0)
    stream = AuxiliaryStream(spec, Parallel(), torch.device("cpu"), start=0, total=240)
    for number in range(40):
        step(stream.images(number))
    fed, resident = [], []
    for number in range(40, 240, 20):  # in turn, so that the machine's other work hits both
        for times, source in ((fed, stream.images), (resident, lambda _: held)):
            begun = time.perf_counter()
            for i in range(20):
                step(source(number + i))
            times.append((time.perf_counter() - begun) / 20)
    stream.close()
    ratios = [a / b for a, b in zip(fed, resident, strict=True)]
    with capsys.disabled():
        print(
            f"\nstep fed by the stream {1e3 * median(fed):.1f} ms, from memory {1e3 * median(resident):.1f} ms: "
            f"median ratio {median(ratios):.3f}"
        )


def preparing(folder, gigabytes):
    """What preparing such a set takes (see `peak_memory`), in a Ray and a process of its own: those of an earlier set
    would count, too."""
    with ray_session(), peak_memory() as actual:
        prepared_set(folder, gigabytes)
    return actual


def streaming(folder, epochs):
    """What streaming a set takes, every image of it `epochs` times, likewise."""
    manifest = Manifest.read(str(folder / "set"))
    with ray_session(), peak_memory() as actual:
        spec = StreamSpec(manifest.path, "train", BATCH, 1, 0)
        total = epochs * manifest.count("rows") // BATCH
        stream = AuxiliaryStream(spec, Parallel(), torch.device("cpu"), start=0, total=total)
        for step in range(total):
            stream.images(step)
        stream.close()
    return actual


@pytest.mark.parametrize("times", [1, 2, 4])
def test_print_peak_memory_as_the_set_grows(tmp_path, times, capsys):
    fresh = ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with fresh:
        measured = [
            fresh.submit(preparing, tmp_path, times * GB).result(),
            fresh.submit(streaming, tmp_path, 2).result(),
        ]
    summary = [f"{m['rss'] / 1e9:.2f} GB in all processes, object store {m['store'] / 1e6:.0f} MB" for m in measured]
    with capsys.disabled():
        print(f"\n{times * GB:g} GB: prepare {summary[0]}; stream, two epochs, {summary[1]}")
