"""The hashes of datasets, whose images an auxiliary set must not hold."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.data.auxiliary.manifest import in_set
from workloads.data.conform import conform
from workloads.data.datasets import load, load_out
from workloads.data.duplicates import Known
from workloads.data.reading.account import FolderRules
from workloads.units import ImageShape

KEPT_COPIES = FolderRules(copies="keep")


@dataclass(frozen=True)
class Deduplication:
    """Datasets whose images are to be left out: name -> digest of each, the hashes of all of them."""

    digests: Mapping[str, str]
    known: Known

    @property
    def near(self) -> int | None:
        return None if self.known.near is None else self.known.threshold


def deduplication_with(names: Sequence[str], data_dir: Path, side: int, near: int | None) -> Deduplication:
    """Of train and test images of datasets in the catalogue, and of class folders given as ``folder=PATH``, as a
    detector of them sees them: RGB, resized to `side` pixels.

    near: threshold in bits for near copies, None for exact copies only. Raises as `workloads.data.datasets.load`.
    """
    digests, images = {}, []
    for text in names:
        name, _, path = text.partition("=")
        place = Path(path).expanduser().resolve() if path else None
        # Cropped, as auxiliary images are; copies among the folder's images are known images all the same.
        dataset = load(name, data_dir, path=place, side=side, fit="crop" if path else None, rules=KEPT_COPIES)
        splits = [dataset.train, dataset.test]
        if name == "tiny_imagenet":  # as an out set it is its unlabelled images
            splits.append(load_out(name, data_dir, side=side, seed=0, download=True))
        seen = [conform(split.images, ImageShape(3, side, side)) for split in splits]
        digests[in_set(name, path)] = hashlib.sha256(b"".join(i.tobytes() for i in seen)).hexdigest()
        images += seen
    return Deduplication(digests, Known.of(np.concatenate(images), near))
