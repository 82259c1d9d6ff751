"""A detector as an MLflow pyfunc model that carries its code, and its place in MLflow's registry."""

import shutil
import tempfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import workloads
from orchestrator.inference.export.card import Export
from orchestrator.inference.export.requirements import requirements, unpinned
from orchestrator.record.tracking.tracker import END_OF_SCHEDULE, PARENT_TAG, RUN_TAG, TRIAL_TAG
from workloads.errors import Kind, UserError
from workloads.portable import save_detector


def write_mlflow(export: Export, folder: Path) -> list[str]:
    """The model below `folder`, with signature, example, pinned requirements and held-out scores; what it lacks."""
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    columns = (("decision", DataType.string), ("score", DataType.float), ("p_value", DataType.double))
    signature = ModelSignature(
        Schema([ColSpec(DataType.binary, "image")]),
        Schema([ColSpec(kind, name) for name, kind in columns]),
        ParamSchema([ParamSpec("false_alarms", DataType.double, export.detector.usual_rate)]),
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        save_detector(made(place / "detector"), export.detector, export.method, export.units)
        code = copied_code(place, export.code)
        save_model(
            str(folder),
            python_model=str(find_spec("orchestrator.inference.export.served").origin),  # type: ignore[union-attr]
            artifacts={"detector": str(place / "detector")},
            code_paths=[str(path) for path in code],
            signature=signature,
            input_example=example_of(export.detector.usual_size),
            pip_requirements=requirements(export),
            metadata=export.lineage,
        )
    return unpinned(export)


def copied_code(place: Path, code: dict[str, bytes]) -> list[Path]:
    """`workloads`, which needs nothing of the orchestrator, and a method's own files, to be carried by the model."""
    package = Path(workloads.__file__).parent
    copy = shutil.copytree(package, place / "workloads", ignore=shutil.ignore_patterns("__pycache__"))
    tops = {name.partition("/")[0] for name in code}
    for name, content in code.items():
        made((place / name).parent)
        (place / name).write_bytes(content)
    return [Path(copy), *(place / top for top in sorted(tops))]


def example_of(size: tuple[int, int]) -> Any:
    """One image file as a row: grey, of a size that the detector takes."""
    import pandas as pd
    from PIL import Image

    data = BytesIO()
    Image.fromarray(np.full((*size, 3), 128, np.uint8)).save(data, "PNG")
    return pd.DataFrame({"image": [data.getvalue()]})


def register(export: Export, folder: Path, name: str, tracking_uri: str) -> str:
    """Put the model into MLflow's registry as the next version of `name`; its URI. It is a logged model of the MLflow
    run of the winner's trial, whose id and provenance it carries as tags, and stands on the sweep's page, too."""
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri)
    run = run_of(client, export.lineage)
    run_id, about = run.info.run_id, {"tags": export.lineage, "params": {"target": export.detector.target}}
    model = client.create_logged_model(run.info.experiment_id, "detector", run_id, model_type=export.method, **about)
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    for key in (run_id, run.data.tags.get(PARENT_TAG)):
        if key:
            client.log_outputs(key, [LoggedModelOutput(model.model_id, END_OF_SCHEDULE)])
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    place = {"source": model.artifact_location, "run_id": run_id, "model_id": model.model_id}
    made_version = client.create_model_version(name, **place, tags=export.lineage)
    return f"models:/{name}/{made_version.version}"


def run_of(client: Any, lineage: dict[str, str]) -> Any:
    """MLflow's run of the trial. Raises UserError where MLflow does not know it."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    query = " and ".join(f"tags.`{tag}` = '{lineage[tag]}'" for tag in (RUN_TAG, TRIAL_TAG))
    runs = client.search_runs(experiments, query, max_results=1) if experiments else []
    if not runs:
        raise UserError(
            f"MLflow does not know the trial {lineage[TRIAL_TAG]} of the run {lineage[RUN_TAG]}",
            fix="give --tracking-uri of the MLflow that the run was launched with",
            kind=Kind.ENVIRONMENT,
        )
    return runs[0]


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
