"""Which methods there are. A new one is a line here; nothing else of the orchestrator changes."""

from typing import Any

from workloads.flows.method import Flows
from workloads.klods.method import Klods
from workloads.mlsad.method import MLSAD

WORKLOADS: dict[str, type[Flows] | type[Klods] | type[MLSAD]] = {
    "flow": Flows,
    "klods": Klods,
    "mlsad": MLSAD,
}


def method(name: str) -> Any:
    """The class of a workload (see `workloads.workload.Workload`). Raises KeyError."""
    return WORKLOADS[name]
