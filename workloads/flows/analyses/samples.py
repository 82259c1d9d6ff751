"""What a flow takes for an image of its class: samples."""

import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.figures import image_rows
from workloads.flows.bits import BINS
from workloads.flows.config import FlowConfig
from workloads.flows.scorer import trained_scorer
from workloads.learner import Finding, Fitted
from workloads.training.seeds import derive_seed

COLUMNS = 8
TEMPERATURES = (1.0, 0.7)


def samples(config: FlowConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:
    """Images drawn from the target's flow, and from the general flow where there is one.

    Picture: `samples`: a row of training images; then of each flow a row at temperature 1 and one at 0.7, which scales
    the latents. Numbers: `outside/flow` and `outside/general`, the fraction in [0, 1] of the values drawn at
    temperature 1 that no image can have, beyond [-.5, .5] or not finite: affine couplings make some, drawn as black or
    white.
    """
    scorer = trained_scorer(config, view, fitted)
    flows = {"flow": scorer.net} | ({"general": scorer.general} if scorer.general is not None else {})
    rows, numbers = {"training images": view.train[:COLUMNS]}, dict[str, float | None]()
    for name, flow in flows.items():
        generator = torch.Generator(scorer.device).manual_seed(derive_seed(seed, name, view.target))
        drawn = [flow.sample(COLUMNS, generator, temperature) for temperature in TEMPERATURES]
        numbers[f"outside/{name}"] = float((~(drawn[0].abs() <= 0.5)).float().mean())
        rows |= {f"{name}, T = {t:g}": to_bytes(images) for t, images in zip(TEMPERATURES, drawn, strict=True)}
    return Finding(numbers, {"samples": image_rows(rows)})


def to_bytes(x: Tensor) -> Tensor:
    """float (B, C, S, S) in [-.5, .5) -> uint8; what is beyond goes to the end of the range, NaN to 0."""
    return ((x.nan_to_num(-0.5) + 0.5) * BINS).floor().clamp(0, BINS - 1).to(torch.uint8)
