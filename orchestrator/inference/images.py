"""Using a trained detector: the winner of a run on a folder of anyone's images."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from upath import UPath

from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState
from orchestrator.results.run import winner
from tune_spaces.schema import Space
from workloads.data.reading.decode import UnreadableError, decode
from workloads.data.reading.folder import SUFFIXES
from workloads.errors import Kind, UserError, nearest
from workloads.registry import method
from workloads.scoring.table import WHOLE
from workloads.training.checkpoint import is_complete, load_state

CHUNK = 256


def image_files(folder: Path) -> list[Path]:
    """Image files under a folder, sorted. Raises UserError (exit 2) where there is none."""
    files = (
        sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()) if folder.is_dir() else []
    )
    if not files:
        raise UserError(f"no images in {folder}", fix=f"one of {', '.join(sorted(SUFFIXES))}")
    return files


def scorers(paths: RunPaths, state: RunState, target: str) -> tuple[Any, list[Any], Space]:
    """(method, scorers of every unit) of the winner's detector for one normal class, weights loaded."""
    targets = state.opened.targets
    if target not in targets:
        raise UserError(f"no detector for class {target!r}", details=nearest(target, targets))
    best = winner(state)
    if best is None:
        raise UserError("no trial of this run has reached the end", fix="resume it first")
    space = state.space
    instance = method(space.workload)(space.config(best.point))
    shape = state.opened.shape
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = []
    for unit in instance.units([target]):
        needs = {str(need): paths.stage(best.stages[str(need)]) for need in instance.scoring_needs(unit)}
        artifacts = {name: load_whole(folder, name, device) for name, folder in needs.items()}
        scorer = instance.scorer(unit, shape, artifacts, device)
        scorer.load_state(load_whole(paths.trial(best.id).unit(unit, 1000), str(unit), device)["learner"])
        loaded.append(scorer)
    return instance, loaded, space


def load_whole(folder: UPath, unit: str, device: torch.device) -> Any:
    if not is_complete(folder):
        raise UserError(f"the weights of {unit} are not in {folder}", kind=Kind.ENVIRONMENT)
    return load_state(folder, device)


def score_folder(paths: RunPaths, state: RunState, target: str, folder: Path) -> tuple[pa.Table, list[str]]:
    """Scores of every readable image: columns image, score (of the whole) and one a part; and what was skipped.

    Images are brought to the detector's side as the folder dataset does: the centre square, then resized. Rows are
    sorted by score, the most anomalous first.
    """
    instance, loaded, space = scorers(paths, state, target)
    names: list[str] = []
    skipped: list[str] = []
    columns: dict[str, list[np.ndarray]] = {}
    files = image_files(folder)
    for start in range(0, len(files), CHUNK):
        images = []
        for file in files[start : start + CHUNK]:
            try:
                images.append(decode(file, space.data.side))
                names.append(str(file.relative_to(folder)))
            except UnreadableError as error:
                skipped.append(f"{file.relative_to(folder)}: {error}")
        if images:
            batch = torch.from_numpy(np.stack(images))
            for scorer in loaded:
                for part, values in scorer.score(batch).items():
                    columns.setdefault(part, []).append(values)
    if not names:
        raise UserError(f"none of the {len(files)} images could be read", details=skipped[0])
    scores = {part: np.concatenate(values) for part, values in columns.items()}
    whole = instance.combine(scores)
    table = pa.table({"image": names, WHOLE: whole, **scores}).rename_columns(["image", "score", *scores])
    return table.sort_by([("score", "descending")]), skipped
