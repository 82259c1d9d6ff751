"""scikit-learn's baselines on the same splits, scored by a Ray task."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from orchestrator.record.paths import RunPaths
from orchestrator.results.baselines import table_path
from workloads.data.protocols import Split
from workloads.scoring.baselines import BASELINES, scores_of


def start(split: Split, places: RunPaths, digest: str, code: str) -> Any:
    """One Ray task for the baselines that are not there yet: a future of a table a baseline.

    It claims no CPU: training must not wait for it, and the reader's spare CPU stays free. Where a target is a whole
    dataset there are none: distances to all its images would take hours, and its test images are all normal.
    """
    import ray

    names = [] if split.members else [*BASELINES]
    missing = [name for name in names if not table_path(places, name, digest, code).exists()]
    bare = replace(split, out={}, auxiliary=None)  # these are large, and not theirs
    return ray.remote(num_cpus=0)(tables_of).remote(missing, bare)


def tables_of(names: list[str], split: Split) -> dict[str, pa.Table]:
    """Scores of several baselines for every target."""
    return {
        name: pa.concat_tables([scores_of(name, split, target) for target in split.targets]).unify_dictionaries()
        for name in names
    }
