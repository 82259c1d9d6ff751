"""What an exported MLflow model runs. Its copy lies in the model, beside the code it imports and nothing else of ours.

Input: a column `image` of image files' bytes (PNG, JPEG, ...; over HTTP in base 64). Output: a row an image with
decision, score and p_value. Parameter `false_alarms`: the rate that decides, in (0, 1).
"""

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel

from workloads.portable import decisions, load_detector


class Served(PythonModel):
    """A detector behind MLflow's `predict`."""

    def load_context(self, context: Any) -> None:
        self.detector = load_detector(context.artifacts["detector"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        rate = (params or {})["false_alarms"]
        return pd.DataFrame(decisions(self.detector, model_input["image"], rate))


mlflow.models.set_model(Served())
