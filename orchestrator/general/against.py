"""The hashes of in-sets, whose images a general set must not hold."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from orchestrator.general.manifest import in_set
from orchestrator.general.prepare import Against
from workloads.channels import as_channels
from workloads.data.datasets import load, resize
from workloads.data.duplicates import Known


def against_sets(names: Sequence[str], data_dir: Path, side: int, near: int | None) -> Against:
    """Of train and test images of datasets in the catalogue, and of class folders given as ``folder=PATH``, as a
    detector of them sees them: RGB, resized to `side` pixels.

    near: threshold in bits for near copies, None for exact copies only. Raises as `workloads.data.datasets.load`.
    """
    digests, images = {}, []
    for given in names:
        name, _, path = given.partition("=")
        dataset = load(name, data_dir, path=Path(path).resolve() if path else None, side=side)
        resized = (torch.from_numpy(resize(part.images, side)) for part in (dataset.train, dataset.test))
        images += [as_channels(part, 3).numpy() for part in resized]
        digests[in_set(name, path)] = hashlib.sha256(b"".join(i.tobytes() for i in images[-2:])).hexdigest()
    return Against(digests, Known.of(np.concatenate(images), near))
