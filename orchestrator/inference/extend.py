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

from orchestrator.data.split_store import SplitStore
from orchestrator.inference.export.card import Export, card
from orchestrator.inference.export.write import LINEAGE, export_at, export_of
from orchestrator.inference.predict import windows_of
from orchestrator.inference.sources import images_at
from orchestrator.record import method_code
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState
from workloads.data.conform import conform
from workloads.data.copies import Whole, find_copies, groups_of_copies
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
GROUP, LEARNT = "group", "learnt"
"""In the lineage's file: the pattern of files' names that says what stays together, and digests of the pixels of all
images that were learnt."""
BLANK = ""
NEVER_LEARNT = (
    "copies of learnt images are not added: exact ones never, near ones (saved again, rescaled) not to the run itself. "
    "Other photographs of a part that was learnt are not noticed: their held-out scores are too low, so more fresh "
    "normal images are called anomalous than is promised"
)
USE = "A detector of `extend`: this folder stands where `predict`, `export` and `extend` take a RUN."


@dataclass(frozen=True)
class Extended:
    """out: the detector's folder. added: images. smallest_rate: of false alarms that they support."""

    out: Path
    added: int
    smallest_rate: float


@dataclass(frozen=True)
class Source:
    """What images are added to. group: the pattern of names that says which images show the same. digests: of the
    images that it has learnt, where `train` does not have these."""

    export: Export
    group: str | None
    digests: Sequence[str] = ()
    train: LabelledImages | None = None


def extend_detector(run: str, storage: str, places: Sequence[str], out: Path, target: str | None) -> Extended:
    """Write the detector with the images added; see `orchestrator.extend`."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("the folder is not empty", where=str(out), fix="give a new one")
    source = folder_of_detector(run, target) if is_detector(run) else run_of(*open_run(storage, run), target)
    method = source.export.detector.method
    if not isinstance(method, FittedMethod) or type(method).extend is FittedMethod.extend:
        raise UserError(f"images cannot be added to a detector of {method.name}", fix="launch anew with all images")
    images = images_at(places)
    added = pixels_of(source.export.detector, images)
    whole = Whole.of([added])
    learnt, notes = refuse_learnt(source, whole)
    further, copies = with_images(source, images, added, whole)
    about = {"lineage": further.lineage, "facts": dict(further.facts), GROUP: source.group, LEARNT: learnt}
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as temporary:  # what is interrupted leaves nothing
        folder = Path(temporary) / "detector"
        folder.mkdir()
        save_detector(folder, further.detector, further.method, further.units)
        write_atomically(folder / LINEAGE, json.dumps(about, indent=1).encode())
        write_atomically(folder / "README.md", card(further, USE, [NEVER_LEARNT, *notes, *copies]).encode())
        folder.rename(out)
    return Extended(out, len(images.images), further.detector.normals.smallest_rate)


def folder_of_detector(folder: str, target: str | None) -> Source:
    """A folder that `extend` has written. Raises UserError for any other, and as `refuse_own`."""
    refuse_own(method_of(folder))
    export, about = export_at(folder, "", target), json.loads((Path(folder) / LINEAGE).read_text())
    if LEARNT not in about:
        headline = "an earlier version made this detector, which did not keep what images it has learnt"
        raise UserError(headline, where=folder, fix="extend the run with all of the images that were added")
    return Source(export, about[GROUP], about[LEARNT])


def run_of(paths: RunPaths, state: RunState, target: str | None) -> Source:
    """The winner of a run. Raises UserError where its storage has lost the images that it learnt, and as
    `refuse_own`."""
    refuse_own(state.opened.space["workload"])
    export = export_of(paths, state, target)
    store, digest = SplitStore(paths), state.opened.identity.data
    try:
        train, _ = store.read(digest).training_images(export.detector.target)
    except FileNotFoundError as error:
        headline = "the images that this detector has learnt are gone, so that their copies would not be noticed"
        raise UserError(headline, where=str(store.folder(digest)), fix="launch anew with all images") from error
    return Source(export, state.space.data.group, train=train)


def refuse_own(workload: str) -> None:
    """Raises UserError for a method from outside the tree, before its code is run."""
    if method_code.is_own(workload):
        headline = f"images cannot be added to a detector of {workload}: its folder does not carry code of your own"
        raise UserError(headline, fix="launch anew with all images")


def refuse_learnt(source: Source, added: Whole) -> tuple[list[str], list[str]]:
    """Digests of all images that will have been learnt, and what is to be known of the search for copies. Raises
    UserError for images that are copies of learnt ones."""
    before, notes, digests = set(source.digests), list[str](), digests_of(added)
    if source.train is None:
        copies = [item for item, digest in zip(added.ids, digests, strict=True) if digest in before]
    else:
        known = Whole.of([source.train])
        pairs, skipped = find_copies(added, known, set())
        before, notes, copies = set(digests_of(known)), [skipped] if skipped else [], [str(pair) for pair in pairs]
    if copies:
        headline = f"{len(copies)} of {len(added.ids)} images were learnt before: {few_of(copies)}"
        raise UserError(headline, fix="add only images that this detector has not learnt, and no copies of these")
    return sorted({*before, *digests} - {BLANK}), notes


def with_images(source: Source, images: Listing, added: LabelledImages, whole: Whole) -> tuple[Export, Sequence[str]]:
    """The detector with the images added, and what is to be known of it. Its decisions rest on them alone, each scored
    by a detector that learnt from the others of them, and neither from it nor from what shows the same: what is known
    of earlier ones is of another detector. added, whole: windows and digests of the images."""
    export, detector = source.export, source.export.detector
    windows = torch.from_numpy(added.images)
    files = zip(ids_of(images), images.images, strict=True)
    named = {item: name for item, file in files if (name := group_of(Path(file.name), source.group))}
    groups, notes = groups_of_copies(whole, named)
    numbers = image_of_window([groups.get(item, f"alone {item}") for item in added.ids])
    scorer: Fit = detector.scorers[0]
    scores = np.asarray(detector.method.combine(scorer.cross_extended(windows, numbers)), np.float32)
    words = f"added images, each scored by one of {FOLDS} detectors without it"
    held_out = HeldOut(highest_by_image(scores, added.first_windows), words)
    units = [TrainedUnit(export.units[0].unit, scorer.extended(windows, numbers).state())]
    form: dict[str, Any] = {"fit": detector.fit, "white_level": detector.white_level, "region": detector.region}
    further = assembled(
        detector.method, detector.target, detector.shape, units, torch.device("cpu"), held_out=held_out, **form
    )
    words = f"{len(whole.ids)} images, digest {joint(digests_of(whole))}, on {date.today().isoformat()}"
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


def digests_of(images: Whole) -> list[str]:
    """Of each image's pixels; `BLANK` for one of a single value, which is no copy of another."""
    pairs = zip(images.digests.tolist(), images.blank.tolist(), strict=True)
    return [BLANK if blank else f"{digest:016x}" for digest, blank in pairs]


def joint(digests: Sequence[str]) -> str:
    """Of all images, in their order."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:12]
