"""The verb `export`: a run's best detector into a folder that needs the run no more."""

import json
from importlib.metadata import version
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

from orchestrator.inference.detector import chosen_target, chosen_trial, detector_and_units, of_target
from orchestrator.inference.export.card import Export, card
from orchestrator.inference.export.mlflow_model import register, write_mlflow
from orchestrator.inference.export.program import write_onnx, write_torch
from orchestrator.record import method_code
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run, tracking_of
from orchestrator.record.state import RunState
from orchestrator.record.tracking.tracker import RUN_TAG, TRIAL_TAG, UID_TAG
from workloads.errors import UserError, nearest
from workloads.files import naming
from workloads.portable import is_detector, load_trained

LINEAGE = "lineage.json"
"""File of a folder that `extend` has written: what the detector comes from."""
WINDOWS = """
The program scores windows. Thresholds are of images: an image's score is the highest of its windows' scores, and its
windows are cut as "Images" says."""
USES = {
    "mlflow": """
    mlflow models serve -m FOLDER --env-manager virtualenv -p 5000
    curl localhost:5000/invocations -H 'Content-Type: application/json' \\
      -d "{\\"dataframe_split\\": {\\"columns\\": [\\"image\\"], \\"data\\": [[\\"$(base64 -w0 photo.png)\\"]]}}"
""",
    "torch": "`torch.export.load('model.pt2').module()(images)`: uint8 (N, C, H, W) windows -> float32 (N,) scores.\n"
    + WINDOWS,
    "onnx": "Input `images`, uint8 (N, C, H, W) windows; output `scores`, float32 (N,).\n" + WINDOWS,
}


def export_detector(
    run: str,
    storage: str,
    to: str,
    folder: Path,
    *,
    target: str | None = None,
    register_as: str | None = None,
    tracking_uri: str | None = None,
) -> list[str]:
    """Write the folder and its card; sentences that say what was written and checked. See `orchestrator.export`."""
    if to not in USES:
        raise UserError(f"nothing is exported to {to!r}; {nearest(to, USES)}", where="--to")
    if register_as and to != "mlflow":
        raise UserError(f"MLflow's registry takes MLflow models, not {to}", where="--register", fix="--to mlflow")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError("the folder is not empty", where=str(folder), fix="give a new one")
    uri = registry_of(run, storage, tracking_uri) if register_as else ""
    export = export_at(run, storage, target)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with naming(folder):
        if to == "mlflow":
            notes = write_mlflow(export, folder)
        else:
            with TemporaryDirectory(dir=folder.parent) as temporary:  # what is refused leaves nothing
                notes = (write_torch if to == "torch" else write_onnx)(export.detector, Path(temporary))
                copytree(temporary, folder, dirs_exist_ok=True)
        (folder / "README.md").write_text(card(export, USES[to], notes), encoding="utf-8")
    if register_as:
        notes = [*notes, f"registered as {register(export, folder, register_as, uri)}"]
    return [f"{folder}: {to} model of {export.method}, its card is README.md", *notes]


def registry_of(run: str, storage: str, tracking_uri: str | None) -> str:
    """The MLflow that a run logged to, unless another is named. Raises UserError where a detector's own folder does not
    say."""
    if not is_detector(run):
        paths, state = open_run(storage, run)
        return tracking_of(state, tracking_uri) or paths.database
    if tracking_uri is None:
        raise UserError("a detector's folder does not say where its run logged to", fix="give --tracking-uri")
    return tracking_uri


def export_at(run: str, storage: str, target: str | None) -> Export:
    """As `export_of`, of a run by its name, or of a folder that `extend` has written. Raises UserError for a detector's
    folder that does not say what it comes from, as in an exported MLflow model."""
    if not is_detector(run):
        return export_of(*open_run(storage, run), target)
    if not (Path(run) / LINEAGE).exists():
        headline = f"this detector's folder does not say what it comes from: it has no {LINEAGE}"
        raise UserError(headline, where=run, fix="give the run, or a folder that `extend` has written")
    detector, method, units = load_trained(run, "cpu")
    about = json.loads((Path(run) / LINEAGE).read_text())
    return Export(of_target(detector, target), method, units, lineage=about["lineage"], facts=about["facts"])


def export_of(paths: RunPaths, state: RunState, target: str | None) -> Export:
    """What a run has to export. Raises UserError as `detector_of` does, and for one that decides nothing."""
    target, best = chosen_target(state, target), chosen_trial(state)
    detector, units = detector_and_units(paths, state, target, best, "cpu")
    detector.normals  # noqa: B018 - raises: what is exported decides
    opened, name = state.opened, state.space.workload
    numbers = best.last.numbers
    measured = {f"AUROC of {target}": f"{numbers[f'auroc/{target}']:.4f}"} if numbers.get(f"auroc/{target}") else {}
    return Export(
        detector,
        name,
        units,
        (method_code.stored(paths) or {}) if method_code.is_own(name) else {},
        {UID_TAG: opened.uid, RUN_TAG: paths.run, TRIAL_TAG: best.id, "orchestrator.target": target},
        {
            "run": f"{paths.run}, trial {best.id}, chosen by {state.space.select_by}",
            "dataset": f"{opened.dataset}, digest {opened.identity.data[:12]}",
            "schedule": opened.schedule,
            "config": ", ".join(f"{key}={value}" for key, value in best.point.items()) or "the space's own",
            "code": f"{opened.provenance.git_commit or 'no checkout'}, digest {opened.identity.code}",
            "torch": version("torch"),
        },
        measured,
    )
