"""The hashes of in-sets, whose images a general set must not hold."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.data.auxiliary.manifest import in_set
from orchestrator.data.auxiliary.prepare import Against
from workloads.data.conform import conform
from workloads.data.datasets import load, load_out
from workloads.data.duplicates import Known
from workloads.units import ImageShape


def against_sets(names: Sequence[str], data_dir: Path, side: int, near: int | None) -> Against:
    """Of train and test images of datasets in the catalogue, and of class folders given as ``folder=PATH``, as a
    detector of them sees them: RGB, resized to `side` pixels.

    near: threshold in bits for near copies, None for exact copies only. Raises as `workloads.data.datasets.load`.
    """
    digests, images = {}, []
    for given in names:
        name, _, path = given.partition("=")
        dataset = load(name, data_dir, path=Path(path).expanduser().resolve() if path else None, side=side)
        parts = [dataset.train, dataset.test]
        if name == "tiny_imagenet":  # as an out set it is its unlabelled images
            parts.append(load_out(name, data_dir, side=side, seed=0, download=True))
        found = [conform(part.images, ImageShape(3, side, side)) for part in parts]
        digests[in_set(name, path)] = hashlib.sha256(b"".join(i.tobytes() for i in found)).hexdigest()
        images += found
    return Against(digests, Known.of(np.concatenate(images), near))
