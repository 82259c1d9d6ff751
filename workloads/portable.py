"""A detector as a folder of its own, which needs nothing of the run that made it: weights, config, held-out scores.

detector.json says what it is; states/NUMBER is a unit's weights and artifacts/NUMBER/NUMBER what it reads of stages,
each a checkpoint (`workloads.training.checkpoint`), so nothing is unpickled; held_out.json are the scores that its
decisions rest on.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workloads.data.reading.region import Region
from workloads.detector import Detector, device_named
from workloads.errors import Kind, UserError
from workloads.files import DamagedFileError, read_checked, write_checked
from workloads.learner import State
from workloads.registry import method as method_named
from workloads.scoring.thresholds import HeldOut
from workloads.training.checkpoint import load_state, save_state
from workloads.training.precision import upgraded
from workloads.units import ImageShape, Unit

FORMAT = 1
DETECTOR, HELD_OUT = "detector.json", "held_out.json"
FIX = "write the detector again from its run"


@dataclass(frozen=True)
class TrainedUnit:
    """A unit of a detector: its learner's state, and by name the artifacts of stages that scoring reads."""

    unit: Unit
    state: State
    artifacts: Mapping[str, Any] = field(default_factory=dict)


def assembled(
    method: Any, target: str, shape: ImageShape, units: Sequence[TrainedUnit], device: torch.device, **facts: Any
) -> Detector:
    """A detector of trained units. method: at its config. facts: further fields of `Detector`."""
    scorers = []
    for trained in units:
        scorer = method.scorer(trained.unit, shape, trained.artifacts, device)
        scorer.load_state(trained.state)
        scorers.append(scorer)
    return Detector(target, shape, method, tuple(scorers), **facts)


def save_detector(folder: Path, detector: Detector, name: str, units: Sequence[TrainedUnit]) -> None:
    """Write a detector. name: of its method, as a space names it. units: what it was assembled of."""
    for number, trained in enumerate(units):
        save_state(folder / "states" / str(number), trained.state)
        for place, artifact in enumerate(trained.artifacts.values()):
            save_state(folder / "artifacts" / str(number) / str(place), artifact)
    about = {
        "format": FORMAT,
        "method": name,
        "config": asdict(detector.method.config),
        "target": detector.target,
        "shape": asdict(detector.shape),
        "fit": detector.fit,
        "white_level": detector.white_level,
        "region": detector.region and detector.region.text,
        "units": [{**asdict(trained.unit), "artifacts": list(trained.artifacts)} for trained in units],
    }
    about["held_out"] = detector.held_out is not None
    write_checked(folder / DETECTOR, json.dumps(about, indent=1).encode())
    if detector.held_out is not None:
        scores = np.asarray(detector.held_out.scores, np.float64).tolist()
        kept = {"rests_on": detector.held_out.rests_on, "scores": scores}
        write_checked(folder / HELD_OUT, json.dumps(kept).encode())


def is_detector(folder: str | Path) -> bool:
    """Whether `save_detector` has written there."""
    return (Path(folder) / DETECTOR).is_file()


def method_of(folder: str | Path) -> str:
    """The name of a written detector's method; none of its code is run."""
    return str(json.loads(read_checked(Path(folder) / DETECTOR, FIX))["method"])


def load_detector(folder: str | Path, device: str | None = None) -> Detector:
    """As `load_trained`."""
    return load_trained(folder, device)[0]


def load_trained(folder: str | Path, device: str | None = None) -> tuple[Detector, str, list[TrainedUnit]]:
    """A detector that `save_detector` has written, its method as a space names it, and its units. device: a GPU where
    there is one, unless it is named.

    Raises UserError for a folder of a later version, DamagedFileError, and CorruptCheckpointError for damaged weights.
    """
    place, path = device_named(device), Path(folder)
    about = json.loads(read_checked(path / DETECTOR, FIX))
    if about["format"] != FORMAT:
        headline = f"a detector of format {about['format']}, and this version reads {FORMAT}"
        raise UserError(headline, where=str(path), fix="use the version that wrote it", kind=Kind.ENVIRONMENT)
    chosen = method_named(about["method"])
    values = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in upgraded(about["method"], about["config"]).items()
    }
    units = []
    for number, item in enumerate(about["units"]):
        names = item.pop("artifacts")
        artifacts = {n: load_state(path / "artifacts" / str(number) / str(i), place) for i, n in enumerate(names)}
        units.append(TrainedUnit(Unit(**item), load_state(path / "states" / str(number), place), artifacts))
    held_out = None
    if about.get("held_out", (path / HELD_OUT).exists()):  # an earlier version does not say
        if not (path / HELD_OUT).exists():
            headline = "the scores that the detector's decisions rest on are missing"
            raise DamagedFileError(headline, str(path / HELD_OUT), fix=FIX, kind=Kind.ENVIRONMENT)
        kept = json.loads(read_checked(path / HELD_OUT, FIX, vouched="held_out" in about))
        held_out = HeldOut(np.array(kept["scores"], np.float32), kept["rests_on"])
    detector = assembled(
        chosen(chosen.Config(**values)),
        about["target"],
        ImageShape(**about["shape"]),
        units,
        place,
        fit=about["fit"],
        white_level=about["white_level"],
        region=Region(about["region"]) if about.get("region") else None,
        held_out=held_out,
    )
    return detector, about["method"], units


def decisions(detector: Detector, files: Iterable[bytes], false_alarms: float) -> dict[str, Any]:
    """Columns of a table with a row an image file: decision, score and p_value. Raises UserError for a file that is no
    image, and as `Detector.predict` does."""
    images = [detector.read(BytesIO(data), f"image {n}") for n, data in enumerate(files)]
    made = detector.predict(images, false_alarms)
    return {
        "decision": ["anomalous" if anomalous else "normal" for anomalous in made.anomalous],
        "score": made.scores,
        "p_value": made.p_values,
    }
