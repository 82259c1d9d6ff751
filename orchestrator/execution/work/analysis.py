"""A closer look at a run's winner: one of the analyses that its method offers, of one target, kept beside the run."""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from upath import UPath

from orchestrator.execution.executor import End, RungReport
from orchestrator.execution.work.stage import HISTORY
from orchestrator.execution.work.worker import Worker, method_of
from orchestrator.planning.early_stopping import Decision
from workloads.analyses import analyse
from workloads.files import is_whole, read_checked, write_checked
from workloads.learner import Finding, Fitted
from workloads.training.checkpoint import load_state


@dataclass(frozen=True)
class AnalysisWork:
    """One analysis of a trial's detector of one target. stages, detectors: str(unit) -> folder of its artifact, and of
    its state at the end. path: of the finding."""

    method: str
    config: dict[str, Any]
    name: str
    target: str
    trial: str
    stages: Mapping[str, str]
    detectors: Mapping[str, str]
    path: str
    threads: int = 1

    def run(self, worker: Worker) -> Generator[RungReport, Decision | None, End]:
        """Analyse, and write the finding. It has no rungs."""
        yield from ()
        view = worker.splits.view(self.target, worker.device).on_device()
        finding = analyse(method_of(self.method, self.config), self.name, view, self._fitted(worker))
        write_finding(UPath(self.path), self.trial, finding)
        return End()

    def _fitted(self, worker: Worker) -> Fitted:
        states = {unit: load_state(UPath(folder)) for unit, folder in self.detectors.items()}
        histories = {
            unit: json.loads(read_checked(UPath(folder) / HISTORY))["history"] for unit, folder in self.stages.items()
        }
        return Fitted(
            artifacts={unit: load_state(UPath(folder), worker.device) for unit, folder in self.stages.items()},
            states={unit: state["learner"] for unit, state in states.items()},
            histories={**histories, **{unit: state["history"] for unit, state in states.items()}},
        )


def write_finding(path: UPath, trial: str, finding: Finding) -> None:
    """Pictures first, then the JSON that names them: its presence means that all is there."""
    from orchestrator.results.report.curves import curve_plot  # matplotlib takes a second, and only this needs it

    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = {stem: png(picture) for stem, picture in finding.pictures.items()}
    drawn |= {stem: curve_plot(lines, stem) for stem, lines in finding.curves.items() if any(lines.values())}
    names = {stem: f"{path.stem}-{stem}.png" for stem in drawn}
    for stem, data in drawn.items():
        write_checked(path.parent / names[stem], data)
    record = {"trial": trial, "numbers": dict(finding.numbers), "pictures": names}
    write_checked(path, json.dumps(record, indent=1).encode())


def is_found(path: UPath, *, vouched: bool = True) -> bool:
    """Whether a finding and its pictures are there as they were written; vouched: with checksums."""
    return is_whole(path, vouched=vouched) and all(
        is_whole(path.parent / name, vouched=vouched) for name in json.loads(read_checked(path))["pictures"].values()
    )


def png(picture: np.ndarray) -> bytes:
    """Of uint8 (H, W, 3)."""
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()
