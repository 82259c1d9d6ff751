"""All that the bare loops use of the project, in one place; imported where networks are trained, for it takes torch."""

from workloads.baselines import BASELINES
from workloads.batches import batch_rows, order_seed
from workloads.checkpoint import load_state, save_state
from workloads.data.datasets import load
from workloads.data.protocols import one_class
from workloads.memory import keep_freed_memory
from workloads.metrics import auroc
from workloads.parallel import Parallel
from workloads.registry import method
from workloads.units import Unit
from workloads.workload import UnitInputs

__all__ = [
    "BASELINES",
    "Parallel",
    "Unit",
    "UnitInputs",
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
