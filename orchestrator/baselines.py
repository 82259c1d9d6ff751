"""scikit-learn's baselines on the same splits: scored once per data by Ray tasks, kept by content."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from upath import UPath

from orchestrator.evaluation import read_table, rows, write_table
from orchestrator.identity import content_hash
from orchestrator.places import Places
from workloads.baselines import BASELINES
from workloads.data.datasets import resize
from workloads.data.protocols import Split
from workloads.metrics import per_class_auroc
from workloads.scores import WHOLE

LARGEST = 64
"""Pixels of a side; larger images are shrunk to it: distances between megapixels cost much and say little more."""


def scores_of(name: str, split: Split, target: str) -> pa.Table:
    """One baseline fitted on all normal images of one target (it needs no validation) and its test scores."""
    normal = np.concatenate([part.images[split.own(part, target)] for part in (split.train, split.val)])
    test = split.tested(target)
    images = test.images
    if images.shape[-1] > LARGEST:
        normal, images = resize(normal, LARGEST), resize(images, LARGEST)
    scores = BASELINES[name](normal, images)
    labels = [split.classes[i] for i in test.labels]
    return rows(target, "test", WHOLE, test.ids, labels, ~split.own(test, target), np.asarray(scores))


def start(split: Split, places: Places, digest: str, code: str) -> Any:
    """One Ray task for the baselines that are not there yet: a future of a table a baseline.

    It claims no CPU: training must not wait for it, and the reader's spare CPU stays free. Where a target is a whole
    dataset there are none: distances to all its images would take hours, and its test images are all normal.
    """
    import ray

    names = [] if split.members else [*BASELINES]
    missing = [name for name in names if not table_path(places, name, digest, code).exists()]
    bare = replace(split, out={}, general=None)  # these are large, and not theirs
    return ray.remote(num_cpus=0)(tables_of).remote(missing, bare)


def tables_of(names: list[str], split: Split) -> dict[str, pa.Table]:
    """Scores of several baselines for every target."""
    return {
        name: pa.concat_tables([scores_of(name, split, target) for target in split.targets]).unify_dictionaries()
        for name in names
    }


def keep(table: pa.Table, places: Places, digest: str, code: str, name: str) -> None:
    """Store a baseline's scores under what they were made of."""
    write_table(table_path(places, name, digest, code), table)


def measured(places: Places, digest: str, code: str) -> dict[str, dict[str, float | None]]:
    """Per-class AUROC of every baseline that has been scored, from its file."""
    paths = {name: table_path(places, name, digest, code) for name in BASELINES}
    return {name: per_class_auroc(read_table(path)) for name, path in paths.items() if path.exists()}


def table_path(places: Places, name: str, digest: str, code: str) -> UPath:
    key = content_hash({"data": digest, "code": code, "baseline": name}, 16)
    return places.baselines(key) / "scores.parquet"
