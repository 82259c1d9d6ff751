"""General sets at size: what the stream gives beside the disk, other loaders and a tensor in memory; ratios printed.

GENERAL_GB=4 makes the sets larger (default 1). Everything is read from a cold page cache. The machine that printed a
figure belongs beside it.
"""

import io
import os
import tarfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import ray
import torch

from orchestrator.cluster import ray_session
from orchestrator.general.batches import batches
from orchestrator.general.order import POOL_BYTES
from orchestrator.general.reading import pixels, row_group
from orchestrator.general.stream import GeneralStream, feed_of
from orchestrator.general.windows import split_feed
from tests.benchmarks.general_sets import cool, peak_memory, prepared_set, shuffling
from workloads.parallel import Parallel

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

    def consume(self, feed, iterator, rank, steps):
        tables = iterator.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)
        rows, marks = [], []
        for batch in batches(feed, tables, rank, 0):
            marks = [marks[0] if marks else time.time(), time.time()]
            rows.append(batch.rows)
        return np.stack(rows)[:steps], marks


def streamed(manifest, pool=POOL_BYTES):
    """(images/s into two consumers over an epoch, from asking for the first to having the last; the same from having
    the first; the order)."""
    feed, steps = feed_of(manifest.path, "train", BATCH, 2, 0, pool), manifest.count("rows") // BATCH
    consumers = [Consumer.remote() for _ in range(2)]
    ray.get([c.warm.remote() for c in consumers])
    cool(files(manifest))
    begun = time.time()
    iterators = split_feed(feed, 0, steps * BATCH)
    asked = [c.consume.remote(feed, iterators[rank], rank, steps) for rank, c in enumerate(consumers)]
    found, marks = zip(*ray.get(asked), strict=True)
    first, last = max(m[0] for m in marks), max(m[1] for m in marks)
    order = np.concatenate(found, axis=1).reshape(-1)
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
    for _, found in loader:
        rows.append(found.numpy())
        seen += len(found)
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
    for _, found in loader:
        rows.append(found.numpy())
        seen += len(found)
    rate = seen / (time.perf_counter() - begun)
    for path in paths:
        Path(path).unlink()
    return rate, np.concatenate(rows)


def test_print_images_a_second_beside_the_disk_and_other_loaders(prepared, tmp_path, capsys):
    runs = [(sequential(prepared), *streamed(prepared)) for _ in range(3)]  # in turn: the disk is not always as fast
    disk, stream, running = (median(values) for values in list(zip(*runs, strict=True))[:3])
    order = runs[-1][-1]
    assert len(np.unique(order)) == len(order)
    with capsys.disabled():
        print(f"\n{prepared.count('rows'):,} images, {os.cpu_count()} cores, cold page cache")
        print(f"sequential read      {disk:10,.0f} images/s")
        print(f"stream, 2 consumers  {stream:10,.0f} images/s, {stream / disk:.2f} of it, {shuffling(order, BATCH)}")
        print(f"  from the first on  {running:10,.0f} images/s, {running / disk:.2f} of it")
        for name, other in (("DataLoader, memmap", data_loader), ("webdataset", web_dataset)):
            rate, order = other(prepared, tmp_path)
            told = f"stream {stream / rate:.2f} times, {shuffling(order, BATCH)}"
            print(f"{name:20} {rate:10,.0f} images/s, {told}")


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

    feed = feed_of(prepared.path, "train", BATCH, 1, 0)
    stream = GeneralStream(feed, Parallel(), torch.device("cpu"), start=0, total=240)
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


@pytest.mark.parametrize("times", [1, 2, 4])
def test_print_peak_memory_as_the_set_grows(cluster, tmp_path, times, capsys):
    with peak_memory() as preparing:
        manifest = prepared_set(tmp_path, times * GB)
    with peak_memory() as streaming:
        feed = feed_of(manifest.path, "train", BATCH, 1, 0)
        total = 300_000 // BATCH
        stream = GeneralStream(feed, Parallel(), torch.device("cpu"), start=0, total=total)
        for step in range(total):
            stream.images(step)
        stream.close()
    for file in files(manifest):
        os.unlink(file)
    measured = (preparing, streaming)
    told = [f"{m['rss'] / 1e9:.2f} GB in all processes, object store {m['store'] / 1e6:.0f} MB" for m in measured]
    with capsys.disabled():
        print(f"\n{times * GB:g} GB: prepare {told[0]}; stream {told[1]}")
