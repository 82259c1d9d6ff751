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
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from orchestrator.inference.export.card import Export, card
from orchestrator.inference.export.write import LINEAGE, export_at
from orchestrator.inference.predict import windows_of
from orchestrator.inference.sources import images_at
from orchestrator.record import method_code
from orchestrator.record.runs import open_run
from workloads.data.conform import conform
from workloads.data.copies import Whole, groups_of_copies
from workloads.data.images import LabelledImages, image_of_window
from workloads.data.reading.account import few_of
from workloads.data.reading.listing import Listing
from workloads.data.reading.survey import group_of
from workloads.detector import Detector
from workloads.errors import UserError
from workloads.files import write_atomically
from workloads.method import FittedMethod
from workloads.portable import TrainedUnit, assembled, is_detector, method_of, save_detector
from workloads.scoring.table import highest_by_image
from workloads.scoring.thresholds import HeldOut
from workloads.training.fitted import FOLDS, Fit

EXTENDED = "orchestrator.added"
"""The tag of the lineage that says what was added when."""
GROUP, DIGESTS = "group", "digests"
"""In the lineage's file: the pattern of files' names that says what stays together, and digests of added images."""
UNLEARNT = (
    "added images must not have been learnt before, and of what the run itself learnt that is not checked: held-out "
    "scores of such images are too low, so more fresh normal images are called anomalous than is promised"
)
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
    group, before = known_of(run, storage)
    digests = digests_of(images)
    refuse_added(images, digests, before)
    further, notes = with_images(export, images, digests, group)
    about = {"lineage": further.lineage, "facts": dict(further.facts), GROUP: group, DIGESTS: [*before, *digests]}
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as temporary:  # what is interrupted leaves nothing
        folder = Path(temporary) / "detector"
        folder.mkdir()
        save_detector(folder, further.detector, further.method, further.units)
        write_atomically(folder / LINEAGE, json.dumps(about, indent=1).encode())
        write_atomically(folder / "README.md", card(further, USE, [UNLEARNT, *notes]).encode())
        folder.rename(out)
    return Extended(out, len(images.images), further.detector.normals.smallest_rate)


def refuse_own(run: str, storage: str) -> None:
    """Raises UserError for a detector of a method from outside the tree, before its code is run."""
    workload = method_of(run) if is_detector(run) else open_run(storage, run)[1].opened.space["workload"]
    if method_code.is_own(workload):
        headline = f"images cannot be added to a detector of {workload}: its folder does not carry code of your own"
        raise UserError(headline, fix="launch anew with all images")


def known_of(run: str, storage: str) -> tuple[str | None, list[str]]:
    """The pattern of names that says which images show the same, and digests of images that were added before."""
    if not is_detector(run):
        return open_run(storage, run)[1].space.data.group, []
    about = json.loads((Path(run) / LINEAGE).read_text())
    return about.get(GROUP), about.get(DIGESTS, [])


def refuse_added(images: Listing, digests: Sequence[str], before: Sequence[str]) -> None:
    """Raises UserError for images that were added before."""
    known = set(before)
    if again := [file.name for file, digest in zip(images.images, digests, strict=True) if digest in known]:
        headline = f"{len(again)} of {len(digests)} images were added before: {few_of(again)}"
        raise UserError(headline, fix="add only images that this detector has not learnt")


def with_images(
    export: Export, images: Listing, digests: Sequence[str], group: str | None
) -> tuple[Export, Sequence[str]]:
    """The detector with the images added, and what is to be known of it. Its decisions rest on them alone, each scored
    by a detector that learnt from the others of them, and neither from it nor from what shows the same: what is known
    of earlier ones is of another detector. group: the pattern of names that says so, beside copies."""
    detector = export.detector
    added = pixels_of(detector, images)
    windows = torch.from_numpy(added.images)
    files = zip(ids_of(images), images.images, strict=True)
    named = {item: name for item, file in files if (name := group_of(Path(file.name), group))}
    groups, notes = groups_of_copies(Whole.of([added]), named)
    scorer: Fit = detector.scorers[0]
    scores = scorer.cross_extended(windows, image_of_window([groups.get(item, f"alone {item}") for item in added.ids]))
    first = np.unique(added.image_of_window, return_index=True)[1]
    highest = highest_by_image(np.asarray(detector.method.combine(scores), np.float32), first)
    held_out = HeldOut(highest, f"added images, each scored by one of {FOLDS} detectors without it")
    units = [TrainedUnit(export.units[0].unit, scorer.extended(windows).state())]
    form: dict[str, Any] = {"fit": detector.fit, "white_level": detector.white_level, "region": detector.region}
    further = assembled(
        detector.method, detector.target, detector.shape, units, torch.device("cpu"), held_out=held_out, **form
    )
    words = f"{len(images.images)} images, digest {joint(digests)}, on {date.today().isoformat()}"
    before = export.lineage.get(EXTENDED)
    lineage = export.lineage | {EXTENDED: f"{before}; {words}" if before else words}
    facts = {**export.facts, "added": lineage[EXTENDED]}
    return replace(export, detector=further, units=units, lineage=lineage, facts=facts, measured={}), notes


def pixels_of(detector: Detector, images: Listing) -> LabelledImages:
    """All windows, under ids of `ids_of`. Raises UserError for an image that cannot be read."""
    read = list(windows_of(detector, images))
    windows = [conform(image.windows, detector.shape) for image in read]
    ids = tuple(name for name, image in zip(ids_of(images), windows, strict=True) for _ in image)
    places = np.concatenate([image.layout.places for image in read]) if len(ids) > len(read) else None
    return LabelledImages(np.concatenate(windows), np.zeros(len(ids), np.int64), ids, places)


def ids_of(images: Listing) -> list[str]:
    """Numbers and names: a file may be there twice."""
    return [f"#{number} {file.name}" for number, file in enumerate(images.images)]


def digests_of(images: Listing) -> list[str]:
    """Of each file's bytes."""
    digests = []
    for file in images.images:
        with file.open() as opened:
            digests.append(hashlib.sha256(opened.read()).hexdigest())
    return digests


def joint(digests: Sequence[str]) -> str:
    """Of all files, in their order."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()[:12]
