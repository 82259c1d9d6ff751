"""A detector's score as one program of torch, as torch.export and ONNX have it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workloads.detector import Detector
from workloads.errors import Kind, UserError

TOLERANCE = 1e-4
"""Relative to the largest of the scores compared: float32 sums in another order."""
CHECKED = 5  # images


class Program(nn.Module):
    """uint8 (N, C, H, W) windows -> float32 (N,) scores, higher = more anomalous."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([part(images) for part in self.parts]).mean(0)


def program_of(detector: Detector) -> Program:
    """Raises UserError, with its name, for a method that no program can be made of."""
    method = detector.method
    programs = method.programs(detector.scorers)
    if not programs:
        raise UserError(
            f"{method.name} cannot be exported as a program: its score is not computed by torch alone",
            fix="export it --to mlflow, which carries its code",
        )
    return Program(program.cpu() for program in programs).eval()


def write_torch(detector: Detector, folder: Path) -> list[str]:
    """model.pt2, for any number of windows; what was checked."""
    program, images = program_of(detector), examples(detector)
    exported = exported_program(program, images, detector)
    torch.export.save(exported, folder / "model.pt2")
    loaded = torch.export.load(folder / "model.pt2").module()
    with torch.no_grad():
        return [equal(detector, images, loaded(torch.from_numpy(images)).numpy(), "torch.export's")]


def write_onnx(detector: Detector, folder: Path) -> list[str]:
    """model.onnx, for any number of windows; what was checked. Raises UserError without the packages."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - what torch.onnx writes with
    except ImportError as error:
        fix = "pip install onnx onnxscript onnxruntime"
        raise UserError(f"the package {error.name} is not installed", fix=fix, kind=Kind.ENVIRONMENT) from error
    program, images = program_of(detector), examples(detector)
    exported = exported_program(program, images, detector)
    torch.onnx.export(exported, (), str(folder / "model.onnx"), input_names=["images"], output_names=["scores"],
                      verbose=False, external_data=False)  # fmt: skip
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: images})
    return [equal(detector, images, scores, "onnxruntime's")]


def exported_program(program: Program, images: Any, detector: Detector) -> Any:
    count = torch.export.Dim("windows", min=1)
    try:
        with torch.no_grad():
            return torch.export.export(program, (torch.from_numpy(images),), dynamic_shapes=({0: count},))
    except Exception as error:  # of many kinds, from inside torch
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{detector.method.name} cannot be exported as a program: {reason[:200]}",
            fix="export it --to mlflow, which carries its code",
        ) from error


def examples(detector: Detector) -> Any:
    """uint8 (5, C, H, W), random but the same each time."""
    shape = detector.shape
    return np.random.default_rng(0).integers(
        0, 256, (CHECKED, shape.channels, shape.height, shape.width), dtype=np.uint8
    )


def equal(detector: Detector, images: Any, scores: Any, whose: str) -> str:
    """A sentence that says how near. Raises UserError where scores are not the detector's."""
    expected = replace(detector, region=None).score(images.transpose(0, 2, 3, 1))  # windows, black there already
    distance = float(np.abs(scores - expected).max() / max(np.abs(expected).max(), 1e-12))
    if not distance <= TOLERANCE:
        headline = f"{whose} scores differ from the detector's by {distance:.1g}, relative to the largest"
        raise UserError(headline, fix="export it --to mlflow", kind=Kind.FAILED)
    return f"checked on {len(images)} images: {whose} scores differ by {distance:.1g} at most, relative to the largest"
