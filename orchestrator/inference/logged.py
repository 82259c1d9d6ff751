"""What a launch's logged model runs: detectors of the run itself, read where the run lies. It needs this package; the
model that `export --to mlflow` writes carries code and weights.

Input: a column `image` of image files' bytes (PNG, JPEG, ...). Output: a row an image with decision, score and p_value.
Parameters: `target`, the class that counts as normal, and `false_alarms`, the rate that decides, in (0, 1).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.inference.detector import detector_at, trusted
from orchestrator.record.paths import ARTIFACTS
from workloads.detector import Detector
from workloads.portable import decisions

if TYPE_CHECKING:
    import pandas as pd


class LoggedModel:
    """The winner's detectors of a run, loaded when they are first wanted."""

    def __init__(self, run: str, storage: str) -> None:
        self.run, self.storage = run, storage
        self.detectors: dict[str | None, Detector] = {}

    def predict(self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Raises UserError as `orchestrator.load` does, and for a rate that the held-out images do not support."""
        import pandas as pd

        words = params or {}
        target = words.get("target")
        if target not in self.detectors:
            self.detectors[target] = detector_at(self.run, self.storage, target)
        detector = self.detectors[target]
        rate = words.get("false_alarms")
        rate = detector.usual_rate if rate is None else rate
        return pd.DataFrame(decisions(detector, model_input["image"], rate))


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> LoggedModel:
    """MLflow calls it. The run lies in the storage among whose artifacts the model lies, which may have been moved, or
    else where `model_config` says. Raises UserError for an unknown run, and without `trust_code` for code that lies in
    it."""
    run, model = str(model_config["run"]), Path(path)
    places = (place for place in model.parents if model.is_relative_to(place / ARTIFACTS) and (place / run).is_dir())
    storage = next(places, model_config["storage"])
    return LoggedModel(*trusted(run, storage, bool(model_config["trust_code"])))
