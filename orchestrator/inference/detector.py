"""The winner's detector of a run, its weights read back."""

from typing import Any

import torch
from upath import UPath

from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState
from orchestrator.results.run import winner
from workloads.detector import Detector
from workloads.errors import Kind, UserError, nearest
from workloads.registry import method
from workloads.training.checkpoint import is_complete, load_state


def detector_of(paths: RunPaths, state: RunState, target: str | None = None, device: str | None = None) -> Detector:
    """The best detector for one target. target: may be left out where the run has one alone. device: a GPU where there
    is one, unless it is named. Raises UserError for an unknown target, and where no trial has reached the end."""
    targets = state.opened.targets
    if target is None and len(targets) > 1:
        raise UserError("the run has a detector for every target", where="target", fix=f"one of {', '.join(targets)}")
    target = target or targets[0]
    if target not in targets:
        raise UserError(f"no detector for class {target!r}", details=nearest(target, targets))
    best = winner(state)
    if best is None:
        raise UserError("no trial of this run has reached the end", fix="resume it first")
    instance = method(state.space.workload)(state.space.config(best.point))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    scorers = []
    for unit in instance.units([target]):
        needs = {str(need): paths.stage(best.stages[str(need)]) for need in instance.scoring_needs(unit)}
        artifacts = {name: load_whole(folder, name, place) for name, folder in needs.items()}
        scorer = instance.scorer(unit, state.opened.shape, artifacts, place)
        scorer.load_state(load_whole(paths.trial(best.id).unit(unit, 1000), str(unit), place)["learner"])
        scorers.append(scorer)
    form: dict[str, Any] = {"fit": state.space.data.fit or "crop", "white_level": state.opened.white_level}
    return Detector(target, state.opened.shape, instance, tuple(scorers), **form)


def load_whole(folder: UPath, unit: str, device: torch.device) -> Any:
    if not is_complete(folder):
        raise UserError(f"the weights of {unit} are not in {folder}", kind=Kind.ENVIRONMENT)
    return load_state(folder, device)
