"""What is exported, and the card that says what it is, where it comes from and what it promises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workloads.detector import Detector
from workloads.errors import UserError
from workloads.portable import TrainedUnit

FALSE_ALARMS = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Export:
    """method: as a space names it. code: of a method from outside the tree, by file name. lineage: tags that lead to
    the run. facts: of the run, by what they are called. measured: its test numbers, by what they are called."""

    detector: Detector
    method: str
    units: Sequence[TrainedUnit]
    code: dict[str, bytes] = field(default_factory=dict)
    lineage: dict[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)


def card(export: Export, use: str, notes: Sequence[str] = ()) -> str:
    """The model card in Markdown. use: how the export is used; notes: what was checked of it."""
    detector, shape = export.detector, export.detector.shape
    lines = [f"# Detector of {detector.target}: {export.method}", "", use.strip("\n"), "", "## Decisions", ""]
    lines += [f"Scores are higher for more anomalous images. Held-out scores: {len(detector.normals.scores)}, of "
              f"{detector.normals.rests_on}. p-value: (1 + those at or above the score) / (n + 1).", ""]  # fmt: skip
    lines += ["| false-alarm rate | anomalous above | rate of fresh normal images, 95 % interval |", "|---|---|---|"]
    for rate in sorted({*FALSE_ALARMS, export.detector.usual_rate}):
        try:
            threshold = detector.threshold(rate)
        except UserError as error:
            lines.append(f"| {rate:g} | refused: {error.headline} | |")
            continue
        lines.append(f"| {rate:.4g} | {threshold.value:.9g} | {threshold.low:.2%} to {threshold.high:.2%} |")
    lines += ["", "These rates hold for images like the training ones: same camera, light and product.", ""]
    resizing = f"images of other sizes by `{detector.fit}`, what that resizes bilinear and antialiased"
    ignored = "" if detector.region is None else ", the region that the detector ignores made black before"
    depths = (
        f"values of images of more than 8 bits, from 0 to the white level of {detector.white_level}, become 0 to 255"
    )
    size = f"{shape.height} x {shape.width} pixels, {shape.channels} channel(s), uint8"
    lines += ["## Images", "", f"Windows of {size}{ignored}; {resizing}; {depths}, higher ones 255.", ""]  # fmt: skip
    lines += ["## Where it comes from", "", *(f"* {key}: {value}" for key, value in export.facts.items()), ""]
    lines += ["## Measured", "", *(f"* {key}: {value}" for key, value in export.measured.items()), ""]
    remarks: list[Any] = [*detector.remarks, *notes]
    lines += ["## To know", "", *(f"* {remark}" for remark in remarks)] if remarks else []
    return "\n".join(lines) + "\n"
