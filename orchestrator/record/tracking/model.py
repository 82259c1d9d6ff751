"""The winner of a run as a logged model of MLflow: a few lines of text that say which run to read."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.record.paths import RunPaths
from orchestrator.record.provenance import without_secrets
from orchestrator.record.state import RunState, TrialState

LOADER = "orchestrator.inference.logged"
"""The module that MLflow imports to load it."""
NAME = "winner"


def log_winner(client: Any, paths: RunPaths, state: RunState, best: TrialState, runs: Iterable[str], step: int) -> str:
    """Log the model on MLflow's `runs`, the first of which it belongs to; its id, empty where the server is older than
    logged models. It holds all classes: `target` is a parameter of its `predict`."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    source, *others = runs
    experiment = client.get_run(source).info.experiment_id
    params = {**state.space.fixed, **best.point, "targets": ", ".join(state.opened.targets)}
    tags = {"orchestrator.uid": state.opened.uid, "orchestrator.run": paths.run, "orchestrator.trial": best.id}
    try:
        model = client.create_logged_model(
            experiment, NAME, source, tags, {key: str(value) for key, value in params.items()}, state.space.workload
        )
    except MlflowException as error:
        if error.error_code == "ENDPOINT_NOT_FOUND":
            return ""
        raise
    with tempfile.TemporaryDirectory() as folder:
        described(paths, state, model.model_id).save(str(Path(folder) / "MLmodel"))
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    for run in (source, *others):
        client.log_outputs(run, [LoggedModelOutput(model.model_id, step)])
    return str(model.model_id)


def described(paths: RunPaths, state: RunState, model_id: str) -> Any:
    """MLflow's description of the model: signature, and how it is loaded. No weights are copied."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    targets = state.opened.targets
    columns = (("decision", DataType.string), ("score", DataType.float), ("p_value", DataType.double))
    signature = ModelSignature(
        Schema([ColSpec(DataType.binary, "image")]),
        Schema([ColSpec(kind, name) for name, kind in columns]),
        ParamSchema(
            [
                ParamSpec("target", DataType.string, targets[0] if len(targets) == 1 else None),
                ParamSpec("false_alarms", DataType.double, None),
            ]
        ),
    )
    model = Model(signature=signature, model_id=model_id)
    config = {"run": paths.run, "storage": without_secrets(paths.storage), "trust_code": False}
    pyfunc.add_to_model(model, loader_module=LOADER, model_config=config)
    return model
