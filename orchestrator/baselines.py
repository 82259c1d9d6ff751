"""scikit-learn's baselines on the same splits: scored once per data by Ray tasks, kept by content."""

from typing import Any

import numpy as np
import pyarrow as pa
from upath import UPath

from orchestrator.evaluation import read_table, rows, write_table
from orchestrator.identity import content_hash
from orchestrator.places import Places
from workloads.baselines import BASELINES
from workloads.data.protocols import OneClassSplit
from workloads.metrics import per_class_auroc
from workloads.scores import WHOLE


def scores_of(name: str, split: OneClassSplit, target: str) -> pa.Table:
    """One baseline fitted on all normal images of one target (it needs no validation) and its test scores."""
    label = split.classes.index(target)
    normal = [part.images[part.labels == label] for part in (split.train, split.val)]
    scores = BASELINES[name](np.concatenate(normal), split.test.images)
    labels = [split.classes[i] for i in split.test.labels]
    return rows(target, "test", WHOLE, split.test.ids, labels, split.test.labels != label, np.asarray(scores))


def start(split: OneClassSplit, places: Places, digest: str, code: str) -> dict[str, Any]:
    """Tasks for the baselines that are not there yet: name -> a future table a target."""
    import ray

    reference = ray.put(split)
    task = ray.remote(num_cpus=1)(scores_of)
    return {
        name: [task.remote(name, reference, target) for target in split.targets]
        for name in BASELINES
        if not table_path(places, name, digest, code).exists()
    }


def collect(running: dict[str, Any]) -> dict[str, pa.Table]:
    """Wait for the tasks: a table a baseline."""
    import ray

    return {name: pa.concat_tables(ray.get(futures)).unify_dictionaries() for name, futures in running.items()}


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
