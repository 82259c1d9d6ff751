"""A small flow of smooth grey images, and images that it does not know."""

from functools import cache

import torch

from workloads.data.view import TargetView
from workloads.klods.flow_config import KlodsFlowConfig
from workloads.klods.method import Klods
from workloads.training.distributed import Parallel
from workloads.units import Unit

SMALL = KlodsFlowConfig(
    scales=2, steps=2, hidden=8, epochs=2, batch_size=8, init_batches=2, group_sizes=(1, 5), directions=5
)
FLOW, DETECTOR = Unit("flow", "3", "flow"), Unit("detector", "3", "groups")


def smooth(count, seed):
    """Grey images, uint8 (N, 1, 8, 8), whose neighbours are alike."""
    coarse = torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, size=(8, 8), mode="bilinear", align_corners=True)
    return (fine * 255).to(torch.uint8)


def noise(count, seed):
    return torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@cache
def trained_flow():
    """Its artifact."""
    view = TargetView("3", smooth(64, 0), smooth(10, 1))
    learner = Klods(SMALL).learner(FLOW, view, {}, Parallel())
    for step in range(learner.total_steps):
        learner.step(step, view.train[:8])
    return learner.artifact()
