"""Which methods there are. A new one is a line here; nothing else of the orchestrator changes."""

from typing import TYPE_CHECKING, Any

from workloads.flows.method import Flows
from workloads.klods.method import Klods
from workloads.mlsad.method import MLSAD

if TYPE_CHECKING:  # the interface needs torch; checking that every method offers all of it does not
    from workloads.method import Method

WORKLOADS: "dict[str, type[Method]]" = {
    "flow": Flows,
    "klods": Klods,
    "mlsad": MLSAD,
}


def method(name: str) -> Any:
    """The class of a workload (see `workloads.method.Method`). Raises KeyError."""
    return WORKLOADS[name]
