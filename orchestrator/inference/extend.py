"""Further normal images for a finished detector: another one, in a folder of its own, with thresholds and lineage.

<out>/
  detector.json, states/, ...    the detector, as `workloads.portable` writes it
  lineage.json                   the run that it comes from, and what was added when
  README.md                      its model card
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orchestrator.inference.export.card import Export, card
from orchestrator.inference.export.write import EXTENDED, LINEAGE, export_at
from orchestrator.inference.predict import windows_of
from orchestrator.inference.sources import images_at
from orchestrator.record import method_code
from orchestrator.record.runs import open_run
from workloads.data.conform import conform
from workloads.data.reading.listing import Listing
from workloads.detector import Detector
from workloads.errors import UserError
from workloads.method import FittedMethod
from workloads.portable import TrainedUnit, assembled, is_detector, save_detector
from workloads.scoring.thresholds import HeldOut
from workloads.training.fitted import FOLDS, Fit

USE = "A detector of `extend`: this folder stands where `predict`, `export` and `extend` take a RUN."


@dataclass(frozen=True)
class Extended:
    """out: the detector's folder. added: images. smallest_rate: of false alarms that they support."""

    out: Path
    added: int
    smallest_rate: float


def extend_detector(run: str, storage: str, places: Sequence[str], out: Path, target: str | None) -> Extended:
    """Write the detector with the images added; see `orchestrator.extend`."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("the folder is not empty", where=str(out), fix="give a new one")
    refuse_own(run, storage)
    export = export_at(run, storage, target)
    method = export.detector.method
    if not isinstance(method, FittedMethod) or type(method).extend is FittedMethod.extend:
        raise UserError(f"images cannot be added to a detector of {method.name}", fix="launch anew with all images")
    images = images_at(places)
    further = with_images(export, images)
    out.mkdir(parents=True, exist_ok=True)
    save_detector(out, further.detector, further.method, further.units)
    (out / LINEAGE).write_text(json.dumps({"lineage": further.lineage, "facts": dict(further.facts)}, indent=1))
    (out / "README.md").write_text(card(further, USE), encoding="utf-8")
    return Extended(out, len(images.images), further.detector.normals.smallest_rate)


def refuse_own(run: str, storage: str) -> None:
    """Raises UserError for a run of a method from outside the tree, before its code is run."""
    if is_detector(run):
        return
    workload = open_run(storage, run)[1].opened.space["workload"]
    if method_code.is_own(workload):
        headline = f"images cannot be added to a detector of {workload}: its folder does not carry code of your own"
        raise UserError(headline, fix="launch anew with all images")


def with_images(export: Export, images: Listing) -> Export:
    """The detector with the images added. Its decisions rest on them alone, each scored by a detector that learnt from
    the others of them, and not from it: what is known of earlier ones is of another detector."""
    detector = export.detector
    windows, numbers = pixels_of(detector, images)
    scorer: Fit = detector.scorers[0]
    scores = scorer.cross_extended(windows, numbers)
    highest = np.full(len(images.images), -np.inf, np.float32)
    np.maximum.at(highest, numbers, np.asarray(detector.method.combine(scores), np.float32))
    held_out = HeldOut(highest, f"added images, each scored by one of {FOLDS} detectors without it")
    units = [TrainedUnit(export.units[0].unit, scorer.extended(windows).state())]
    form: dict[str, Any] = {"fit": detector.fit, "white_level": detector.white_level, "region": detector.region}
    further = assembled(
        detector.method, detector.target, detector.shape, units, torch.device("cpu"), held_out=held_out, **form
    )
    added = f"{len(images.images)} images, digest {digest_of(images)}, on {date.today().isoformat()}"
    before = export.lineage.get(EXTENDED)
    lineage = export.lineage | {EXTENDED: f"{before}; {added}" if before else added}
    facts = {**export.facts, "added": lineage[EXTENDED]}
    return replace(export, detector=further, units=units, lineage=lineage, facts=facts, measured={})


def pixels_of(detector: Detector, images: Listing) -> tuple[torch.Tensor, np.ndarray]:
    """All windows, uint8 (N, C, h, w), and the number of the image that each is of, int64 (N,). Raises UserError for an
    image that cannot be read."""
    windows = [conform(image.windows, detector.shape) for image in windows_of(detector, images)]
    numbers = np.repeat(np.arange(len(windows)), [len(image) for image in windows])
    return torch.from_numpy(np.concatenate(windows)), numbers


def digest_of(images: Listing) -> str:
    """Of the files' bytes, in their order."""
    total = hashlib.sha256()
    for file in images.images:
        with file.open() as opened:
            total.update(hashlib.sha256(opened.read()).digest())
    return total.hexdigest()[:12]
