"""All that the bare loops use of the project, in one place; imported where networks are trained, for it takes torch."""

from workloads.data.datasets import load
from workloads.data.protocols import one_class
from workloads.data.view import TargetView
from workloads.registry import method
from workloads.scoring.baselines import BASELINES
from workloads.scoring.metrics import auroc
from workloads.training.batches import batch_rows, order_seed
from workloads.training.checkpoint import load_state, save_state
from workloads.training.distributed import Parallel
from workloads.training.memory import keep_freed_memory
from workloads.units import Unit

__all__ = [
    "BASELINES",
    "Parallel",
    "TargetView",
    "Unit",
    "auroc",
    "batch_rows",
    "keep_freed_memory",
    "load",
    "load_state",
    "method",
    "one_class",
    "order_seed",
    "save_state",
]
