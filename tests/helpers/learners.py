"""Tiny flows and made images for the tests of the flow method."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from workloads.data.view import TargetView, auxiliary_view
from workloads.flows.config import FlowConfig
from workloads.flows.learner import FlowLearner
from workloads.flows.method import Flows
from workloads.learner import Tensors
from workloads.training.batches import batch_rows, order_seed
from workloads.training.distributed import Parallel
from workloads.units import GENERAL, Unit

TINY = FlowConfig(
    scales=2,
    steps=2,
    hidden=8,
    batch_size=8,
    general_batch_size=8,
    epochs=1,
    general_epochs=1,
    init_batches=4,
    flip=False,
)
GENERAL_FLOW = Unit("flow", GENERAL, "flow")
TARGET = Unit("detector", "3", "flow")


def noise(count: int, seed: int = 1, channels: int = 1, low: int = 0, high: int = 256) -> Tensor:
    """uint8 (count, channels, 8, 8), every value uniform in [low, high)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, channels, 8, 8), generator=generator, dtype=torch.uint8)


def view(**changes: Any) -> TargetView:
    """24 dark images to learn, 8 held out; auxiliary images of all greys."""
    made = TargetView(
        "3",
        train=noise(24, 1, high=64),
        val=noise(8, 2, high=64),
        labels=torch.arange(24) % 3,
        classes=("a", "b", "c"),
        auxiliary=(noise(32, 3), noise(16, 4)),
    )
    return replace(made, **changes)


def general_flow(config: FlowConfig, given: TargetView, steps: int = 2) -> FlowLearner:
    """The general flow after a few steps."""
    assert given.auxiliary is not None
    own = auxiliary_view(given.auxiliary, ())
    learner = Flows(config).learner(GENERAL_FLOW, own, {}, Parallel())
    run(learner, GENERAL_FLOW, own.train, range(steps))
    return learner


def target_flow(
    config: FlowConfig,
    given: TargetView,
    general: Tensors | None = None,
    parallel: Parallel | None = None,
) -> FlowLearner:
    """An untrained flow of the target."""
    artifacts = {} if general is None else {str(GENERAL_FLOW): general}
    return Flows(config).learner(TARGET, given, artifacts, parallel or Parallel())


def batch_of(learner: FlowLearner, unit: Unit, images: Tensor, step: int) -> Tensor:
    """This worker's rows of a step's batch, in the order in which workers feed them."""
    rows = batch_rows(order_seed(learner.config.seed, unit), step, learner.batch_size, len(images))
    return images[rows[learner.parallel.rows(learner.batch_size)]]


def run(learner: FlowLearner, unit: Unit, images: Tensor, steps: range) -> list[dict[str, float]]:
    """Train, and return what was logged."""
    logged = (learner.step(step, batch_of(learner, unit, images, step)) for step in steps)
    return [{name: float(value) for name, value in logs.items()} for logs in logged]
