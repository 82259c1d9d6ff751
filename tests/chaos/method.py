"""A method that trains in a millisecond and leaves all that a method may leave: stages, rungs, maps, an analysis.

What it trains is written down in a file beside the storage, a line a stretch, so that work done again can be counted.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from workloads.keys import key
from workloads.learner import Finding
from workloads.method import Method
from workloads.registry import WORKLOADS
from workloads.units import Analysis, Unit

NAME = "chaos"
WORK = "CHAOS_WORK"
"""Variable that names the file of what was trained."""
STEP_S = "CHAOS_STEP_S"
"""Variable that says how many seconds a step waits, as for an accelerator."""
STEPS = 8
FAILS = 0
"""Number of the training step of this process, from 1 on, that raises; 0 for none."""
TAKEN: list[int] = []
"""Steps of this process so far."""


@dataclass(frozen=True)
class Config:
    noise: float = key(0.0, low=0)  # of the scores: what makes a trial worse than another
    blur: float = key(0.0, low=0, role="stage")
    seed: int = key(0)


class Mean:
    """Moves an image towards the mean of what it sees."""

    total_steps, batch_size = STEPS, 4

    def __init__(self, unit: Unit, config: Config, start: torch.Tensor) -> None:
        stage = unit.kind == "mean"
        self.unit, self.rate, self.noise, self.image = unit, 0.5 if stage else 0.1, config.noise, start
        self.name = f"blur {config.blur}" if stage else f"blur {config.blur} noise {config.noise}"

    def step(self, step: int, images: torch.Tensor) -> dict[str, torch.Tensor]:
        TAKEN.append(step)
        if len(TAKEN) == FAILS:
            raise RuntimeError("a worker has died")
        time.sleep(float(os.environ.get(STEP_S, 0)))
        with Path(os.environ[WORK]).open("a") as file:
            file.write(f"{self.unit} {self.name} {step}\n")
        self.image = self.image + self.rate * (images.float().mean(0) - self.image)
        return {"brightness": self.image.mean()}

    def state(self) -> dict[str, Any]:
        return {"image": self.image}

    def load_state(self, state: dict[str, Any]) -> None:
        self.image = state["image"]

    def artifact(self) -> dict[str, torch.Tensor]:
        return {"image": self.image}

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return (images.float() - self.image).square().mean(1)

    def score(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        noise = torch.sin(images.float().sum((1, 2, 3)) * 12.9898)
        return {"distance": (self.maps(images).mean((1, 2)) + self.noise * noise).numpy()}


class Tiny(Method):
    """Distances to a mean image, which starts from a stage's."""

    name, Config = NAME, Config
    analyses: ClassVar[dict[str, Analysis]] = {
        "brightness": Analysis("how bright the mean image is", f"{__name__}:brightness")
    }

    def stages(self, targets):
        return [Unit("mean", target, "whole") for target in targets]

    def learner(self, unit, view, stages, parallel):
        start = torch.full((view.shape.channels, view.shape.height, view.shape.width), float(self.config.blur))
        for artifact in stages.values():
            start = artifact["image"]
        return Mean(unit, self.config, start)

    def scorer(self, unit, shape, stages, device):
        return Mean(unit, self.config, torch.zeros(shape.channels, shape.height, shape.width))


def brightness(config: Config, view: Any, fitted: Any, seed: int) -> Finding:
    """Of the winner's mean image, with a picture of it."""
    (state,) = fitted.states.values()
    image = state["image"].byte().numpy().transpose(1, 2, 0)
    return Finding({"brightness": float(image.mean())}, {"mean": image})


def register() -> None:
    WORKLOADS[NAME] = Tiny
