"""How training went: bits/dim over its steps."""

from collections.abc import Mapping, Sequence

from workloads.data.view import TargetView
from workloads.flows.config import FlowConfig
from workloads.learner import Finding, Fitted
from workloads.units import GENERAL, Unit

LINES = {"training images, noised": "bits_per_dim", "held-out images": "val_bits_per_dim"}


def curves(config: FlowConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """Curves `bits_per_dim` of the target's flow and `general_bits_per_dim` of the general flow, where they are logged.

    Numbers of each, with the prefixes ``flow/`` and ``general/``: the last logged values of both lines, in bits/dim,
    and how many steps were `skipped` and images `dropped` for not being finite. None where nothing was logged.
    """
    units = {"flow": Unit("detector", view.target, "flow")}
    if config.hierarchy == "general":
        units["general"] = Unit("flow", GENERAL, "flow")
    logs = {name: fitted.histories.get(str(unit), ()) for name, unit in units.items()}
    numbers = {
        f"{name}/{key}": last(history, key)
        for name, history in logs.items()
        for key in (*LINES.values(), "skipped", "dropped")
    }
    lines = {
        "bits_per_dim" if name == "flow" else "general_bits_per_dim": {
            title: [(row["step"], row[key]) for row in history if key in row] for title, key in LINES.items()
        }
        for name, history in logs.items()
    }
    return Finding(numbers, curves=lines)


def last(history: Sequence[Mapping[str, float]], key: str) -> float | None:
    return next((row[key] for row in reversed(history) if key in row), None)
