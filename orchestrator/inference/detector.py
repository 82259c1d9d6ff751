"""The winner's detector of a run, its weights read back."""

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import torch
from upath import UPath

from orchestrator.planning.request import absolute
from orchestrator.record import method_code
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState, TrialState
from orchestrator.results.evaluation import read_table
from orchestrator.results.handle import Run
from orchestrator.results.run import method_of
from workloads.data.images import CALIBRATION
from workloads.data.reading.region import Region
from workloads.detector import Detector, device_named
from workloads.errors import Kind, UserError, nearest
from workloads.method import FittedMethod
from workloads.portable import TrainedUnit, assembled, is_detector, load_detector
from workloads.portable import method_of as method_of_detector
from workloads.scoring.table import WHOLE, group_size
from workloads.scoring.thresholds import HeldOut
from workloads.training.checkpoint import is_complete, load_state
from workloads.training.fitted import FOLDS


def trusted(source: str | Path | Run, storage: str | Path, trust_code: bool) -> tuple[str, str]:
    """The name of a run and its storage, or a detector's own folder. Raises UserError for either whose code must not be
    run without `trust_code`."""
    if not isinstance(source, Run) and is_detector(place := str(source)):
        if not trust_code:
            method_code.require_trust(place, method_of_detector(place))
        return absolute(place), absolute(storage)
    run = source if isinstance(source, Run) else Run(str(source), storage)
    if not trust_code:
        method_code.require_trust(run.paths.code, run.state.opened.space["workload"])
    return run.name, run.storage


def detector_at(run: str, storage: str, target: str | None = None, device: str | None = None) -> Detector:
    """As `detector_of`, of a run by its name, or of a detector's own folder."""
    if is_detector(run):
        return of_target(load_detector(run, device), target)
    return detector_of(*open_run(storage, run), target, device)


def of_target(detector: Detector, target: str | None) -> Detector:
    """The detector, where it is of that target. Raises UserError where it is of another."""
    if target not in (None, detector.target):
        raise UserError(f"no detector for class {target!r}", details=f"this one is of {detector.target!r}")
    return detector


def detector_of(paths: RunPaths, state: RunState, target: str | None = None, device: str | None = None) -> Detector:
    """The best detector for one target. target: may be left out where the run has one alone. device: a GPU where there
    is one, unless it is named. Raises UserError for an unknown target, and where no trial has reached the end."""
    return detector_and_units(paths, state, chosen_target(state, target), chosen_trial(state), device)[0]


def detector_and_units(
    paths: RunPaths, state: RunState, target: str, best: TrialState, device: str | None
) -> tuple[Detector, list[TrainedUnit]]:
    """The detector of a trial that has reached the end, and what it is assembled of. device: as of `detector_of`."""
    place, instance = device_named(device), method_of(state, best)
    units = trained_units(paths, best, instance, target, place)
    opened = state.opened
    form: dict[str, Any] = {"fit": state.space.data.fit or "crop", "white_level": opened.white_level}
    form["region"] = Region(opened.region) if opened.region else None
    held_out = held_out_of(paths, state, best, instance, target)
    return assembled(instance, target, opened.shape, units, place, held_out=held_out, **form), units


def chosen_target(state: RunState, target: str | None) -> str:
    """A target of the run, its only one where none is named. Raises UserError for an unknown one, and for several."""
    targets = state.opened.targets
    if target is None and len(targets) > 1:
        raise UserError("the run has a detector for every target", where="target", fix=f"one of {', '.join(targets)}")
    target = target or targets[0]
    if target not in targets:
        raise UserError(f"no detector for class {target!r}", details=nearest(target, targets))
    return target


def chosen_trial(state: RunState) -> TrialState:
    """The winner. Raises UserError where there is none."""
    best = state.winner
    if best is None:
        raise UserError("no trial of this run has reached the end", fix="resume it first")
    return best


def trained_units(
    paths: RunPaths, best: TrialState, instance: Any, target: str, device: torch.device
) -> list[TrainedUnit]:
    """The winner's units of a target, with what their scoring reads of stages."""
    units = []
    for unit in instance.units([target]):
        needs = {str(need): paths.stage(best.stages[str(need)]) for need in instance.scoring_needs(unit)}
        artifacts = {name: load_whole(folder, name, device) for name, folder in needs.items()}
        state = load_whole(paths.trial(best.id).unit(unit, 1000), str(unit), device)["learner"]
        units.append(TrainedUnit(unit, state, artifacts))
    return units


def held_out_of(paths: RunPaths, state: RunState, best: TrialState, instance: Any, target: str) -> HeldOut | None:
    """The winner's scores of normal images that neither trained nor chose it: those of the split `calibration`; where
    there are none, as in a run of a published dataset, those of the normal test images, unless their labels chose it.

    None where there are neither, and of a detector that is judged by groups of images.
    """
    if group_size((instance.judged_parts() or (WHOLE,))[0]) > 1:
        return None
    table = read_table(paths.trial(best.id).scores(best.reached), vouched=paths.vouched)
    table = table.filter((pc.field("target") == target) & (pc.field("part") == WHOLE) & ~pc.field("anomalous"))
    rows = table.filter(pc.field("split") == CALIBRATION)
    if len(rows):
        fitted = isinstance(instance, FittedMethod) and CALIBRATION not in state.opened.counts
        words = f"training images, each scored by one of {FOLDS} fits without it" if fitted else "images set apart"
        return HeldOut(rows.column("score").to_numpy(), words)
    rows = table.filter(pc.field("split") == "test")
    return HeldOut(rows.column("score").to_numpy(), "normal test images") if len(rows) and not state.leak else None


def load_whole(folder: UPath, unit: str, device: torch.device) -> Any:
    if not is_complete(folder):
        raise UserError(f"the weights of {unit} are not in {folder}", kind=Kind.ENVIRONMENT)
    return load_state(folder, device)
