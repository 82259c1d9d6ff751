"""The hashes of in-sets, whose images a general set must not hold."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from orchestrator.general.prepare import Against
from workloads.channels import as_channels
from workloads.data.datasets import load
from workloads.data.duplicates import Known


def against_sets(names: Sequence[str], data_dir: Path, side: int, near: int | None) -> Against:
    """Of train and test images of datasets in the catalogue, RGB at `side` pixels.

    near: threshold in bits for near copies, None for exact copies only. Raises as `workloads.data.datasets.load`.
    """
    digests, images = {}, []
    for name in names:
        dataset = load(name, data_dir, side=side)
        images += [as_channels(torch.from_numpy(s.images), 3).numpy() for s in (dataset.train, dataset.test)]
        digests[name] = hashlib.sha256(b"".join(np.ascontiguousarray(i).tobytes() for i in images[-2:])).hexdigest()
    return Against(digests, Known.of(np.concatenate(images), near))
