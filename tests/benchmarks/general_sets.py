"""What the benchmarks of auxiliary sets share: made files, cold caches, measures of shuffling, memory of processes."""

import os
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import ray

from orchestrator.data.auxiliary.manifest import Manifest, ShardLayout
from orchestrator.data.auxiliary.prepare import begin, make
from orchestrator.data.auxiliary.sources import open_source
from workloads.data.loaders import tiny_images

NOUNS = 1000
"""Images of one noun in the made file: as the published one, it is sorted by what the images show."""


def flat_file(path: Path, gigabytes: float) -> int:
    """A file in exactly the published format, every byte written. Returns its number of images."""
    images = int(gigabytes * 1e9 / tiny_images.IMAGE_BYTES)
    block = np.random.default_rng(0).integers(0, 256, 8192 * tiny_images.IMAGE_BYTES, dtype=np.uint8)
    with path.open("wb") as file:
        for first in range(0, images, 8192):
            count = min(8192, images - first)
            file.write(np.roll(block, first).data[: count * tiny_images.IMAGE_BYTES])
        os.fsync(file.fileno())
    return images


def prepared_set(folder: Path, gigabytes: float) -> Manifest:
    """All images of such a file in shards; the file itself is deleted."""
    images = flat_file(folder / "tiny_images.bin", gigabytes)
    source = open_source("tiny_images", str(folder / "tiny_images.bin"), side=32, choose="all")
    begun = time.perf_counter()
    manifest = make(begin(source, str(folder / "set"), ShardLayout.of(32), None), lambda *_: None)
    print(f"prepared {images:,} images at {images / (time.perf_counter() - begun):,.0f} images/s")
    (folder / "tiny_images.bin").unlink()
    return manifest


def cool(files) -> None:
    """Out of the page cache with these files, so that everyone reads from the disk."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def shuffling(rows: np.ndarray, batch: int) -> str:
    """Two measures of an order of images numbered as they lie: the rank correlation with that order (0: none left), and
    label mixing: distinct nouns in a batch beside those of a uniformly random order (1: as good)."""
    correlation = np.corrcoef(rows, np.arange(len(rows)))[0, 1]
    whole = rows[: len(rows) // batch * batch].reshape(-1, batch)[:2000]
    uniform = np.random.default_rng(1).integers(0, rows.max() + 1, whole.shape)
    actual, best = (np.mean([len(np.unique(b // NOUNS)) for b in r]) for r in (whole, uniform))
    return f"rank correlation {correlation:+.3f}, label mixing {actual / best:.3f}"


@contextmanager
def peak_memory():
    """{'rss': bytes, 'store': bytes}: the most that this process and its children, and Ray's object store, have held.

    Shared pages (the object store) count once: it is the proportional set size that is summed.
    """
    actual, stop = {"rss": 0, "store": 0}, threading.Event()

    def watch():
        while not stop.wait(0.5):
            total = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            actual["rss"] = max(actual["rss"], total)
            actual["store"] = max(actual["store"], store_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield actual
    finally:
        stop.set()
        thread.join()


def store_bytes() -> int:
    """Bytes in use in the object store of this machine's Ray."""
    from ray._private.internal_api import memory_summary

    text = memory_summary(ray.get_runtime_context().gcs_address, stats_only=True)  # others may run here, too
    return round(float(re.search(r"Plasma memory usage (\d+)", text).group(1)) * 1e6)
