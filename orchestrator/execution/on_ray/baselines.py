"""scikit-learn's baselines, scored by a Ray task beside everything else."""

from dataclasses import replace
from typing import Any

import ray
import torch

from orchestrator.data.shared import SplitsInMemory
from orchestrator.execution.work.baseline import BaselineWork
from orchestrator.execution.work.worker import Worker
from orchestrator.record.paths import RunPaths
from orchestrator.results.baselines import table_path
from workloads.data.splits import Splits
from workloads.scoring.baselines import BASELINES


def start(splits: Splits, paths: RunPaths, code: str) -> Any:
    """One Ray task for the baselines that are not there yet, to be waited for.

    It claims no CPU: training must not wait for it, and the reader's spare CPU stays free. Where a target is a whole
    dataset there are none: distances to all its images would take hours, and its test images are all normal.
    """
    names = [] if splits.targets.members else [*BASELINES]
    files = {name: table_path(paths, name, splits.digest, code) for name in names}
    works = [BaselineWork(name, str(file)) for name, file in files.items() if not file.exists()]
    bare = replace(splits, out={}, auxiliary=None, streamed=None, masks=None)  # these are large, and not theirs
    return ray.remote(num_cpus=0)(score).remote(works, bare)


def score(works: list[BaselineWork], splits: Splits) -> None:
    """Inside a Ray task: one after the other."""
    worker = Worker(SplitsInMemory(splits), torch.device("cpu"))
    for work in works:
        for _ in work.run(worker):
            pass  # a baseline has no rungs
