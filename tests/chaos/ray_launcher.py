"""A verb in a place of the harness, on a real Ray: in a process that was forked for it.

As in the forks of `tests.chaos.world`, MLflow is a file, and what a launch does to look good is left out.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tests.chaos.tracking import stand_in
from tests.chaos.world import MLFLOW_S, cheapen

WARM = ("ray.tune", "orchestrator.execution.on_ray.executor", "orchestrator.execution.on_ray.tune", "sklearn.svm")
SILENT_S, GIVEN_UP_S = 12.0, 18.0
"""In the place of minutes."""


def warm() -> None:
    """Import what a launch on Ray needs."""
    for name in WARM:
        import_module(name)


def main(folder: Path, words: Sequence[str]) -> None:
    import torch

    from orchestrator.cli import main as verb
    from orchestrator.execution.on_ray import watch
    from workloads.scoring import baselines

    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    stand_in(folder / "mlflow.json", None)
    real = dict(baselines.BASELINES)  # workers have no others
    cheapen(MLFLOW_S)
    baselines.BASELINES.update(real)
    watch.SILENT_S, watch.GIVEN_UP_S = SILENT_S, GIVEN_UP_S
    os.chdir(Path(__file__).parents[2])
    sys.argv = ["orchestrator", *words]
    verb()
