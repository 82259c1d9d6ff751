"""`python -m tests.chaos.ray_launcher FOLDER WORDS...`: a verb in a place of the harness, on a real Ray.

As in the forks of `tests.chaos.world`, MLflow is a file, and what a launch does to look good is left out.
"""

import os
import sys
from pathlib import Path

from tests.chaos.tracking import stand_in
from tests.chaos.world import MLFLOW_S, cheapen

FASTER = "CHAOS_FASTER"
"""Variable that has a silent worker be noticed after seconds in the place of minutes."""


def main() -> None:
    folder, *words = sys.argv[1:]
    stand_in(Path(folder) / "mlflow.json", None)
    from orchestrator.cli import main as verb
    from workloads.scoring import baselines

    real = dict(baselines.BASELINES)  # workers have no others
    cheapen(MLFLOW_S)
    baselines.BASELINES.update(real)
    if os.environ.get(FASTER) and "local" not in words:
        from orchestrator.execution.on_ray import watch

        watch.SILENT_S, watch.GIVEN_UP_S = 12.0, 18.0
    sys.argv = ["orchestrator", *words]
    verb()


if __name__ == "__main__":
    main()
