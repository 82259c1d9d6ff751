"""What the latents of normal images and of anomalies are like: where group scores can find something, and where not."""

from math import isnan

import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.klods.detector import GroupScorer
from workloads.klods.flow_config import KlodsFlowConfig
from workloads.learner import Finding, Fitted
from workloads.units import Unit

NAMES = ("variance", "mean_square", "neighbours", "channels")


def latents(config: KlodsFlowConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """`moments` of every level over the images of a set: training, test normals, test anomalies, out sets.

    Numbers by ``LEVEL/SET``; None for a set without images.
    """
    scorer = GroupScorer(config, view.device, fitted.artifacts[str(Unit("flow", view.target, "flow"))])
    tested = {name: view.test_images(anomalous=name == "anomalous") for name in ("normal", "anomalous")}
    numbers: dict[str, float | None] = {}
    for name, images in ({"train": view.train} | tested | dict(view.out)).items():
        for number, level in enumerate(scorer.encode(images).good(), 1):
            values = moments(level.double()) if len(level) else dict.fromkeys(NAMES)
            numbers |= {f"{key}/z{number}/{name}": value for key, value in values.items()}
    return Finding(dict(sorted(numbers.items())))


def moments(level: Tensor) -> dict[str, float | None]:
    """Of latents (N, C, H, W) float64, what a perfect flow's prior has as 1, 0, 0 and 0.

    variance: about the mean image. mean_square: of the mean image, which grows where the images are alike. neighbours:
    correlation in [-1, 1] of values side by side and one above the other within a channel, what splits into patches
    see. channels: root mean square correlation between channels of a position, what splits into channels see. Both are
    about the mean image, and None where there is no such pair.
    """
    mean, variance = level.mean(0), level.var(0, correction=0)
    unit = (level - mean) / variance.sqrt().clamp(min=torch.finfo(level.dtype).tiny)
    pairs = unit[..., 1:] * unit[..., :-1], unit[..., 1:, :] * unit[..., :-1, :]
    positions = unit.movedim(1, -1).flatten(0, 2)
    across = positions.mT @ positions / len(positions)
    apart = across[~torch.eye(len(across), dtype=torch.bool, device=across.device)]
    measured = (
        variance.mean(),
        mean.square().mean(),
        torch.cat([p.flatten() for p in pairs]).mean(),
        apart.square().mean(),
    )
    values = (float(value) for value in (*measured[:3], measured[3].sqrt()))
    return {name: None if isnan(value) else value for name, value in zip(NAMES, values, strict=True)}
