"""A step asks nothing of an accelerator that the host would have to wait for; counted without one."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.helpers.device_work import ACCELERATOR, DeviceWork, counted
from tests.helpers.learners import GENERAL_FLOW, TARGET, TINY
from workloads.data.view import TargetView
from workloads.flows.method import Flows
from workloads.learner import Learner
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.gan import GeneratorLearner
from workloads.training.batches import unit_batches
from workloads.training.distributed import Parallel
from workloads.units import Unit

SMALL = MLSADConfig(width=0.0625, batch_size=8, generator_batch_size=8, bank_size=16)
STEPS = range(1, 5)
"""Of one epoch: an order goes to the device once an epoch, and the first step makes the optimisers' moments."""


def fakes(count: int, side: int, channels: int = 3) -> Tensor:
    return torch.zeros(count, channels, side, side, dtype=torch.uint8, device=ACCELERATOR)


def steps(learner: Learner, view: TargetView, work: DeviceWork) -> DeviceWork:
    """The work of the steps."""
    batches = unit_batches(Unit("detector", "3", "part"), 0, view, learner.batch_size, Parallel())
    learner.step(0, batches(0))
    work.clear()
    for step in STEPS:
        learner.step(step, batches(step))
    return work


@pytest.mark.parametrize("level", [1, 2, 4, 8, 16])
def test_a_detectors_step_never_waits(level: int) -> None:
    with counted() as work:
        view = TargetView("3", fakes(64, 16), fakes(8, 16))
        banks = {k: fakes(16, 16) for k in (2, 4, 8)}
        learner = DetectorLearner(SMALL, level, (view.train, view.val), banks, 7, Parallel(), 100)
        done = steps(learner, view, work)
        assert not done.waits
        assert done.operations["_fused_adam_"] == len(STEPS)


@pytest.mark.parametrize("clip", ["parameters", "output"])
def test_a_generators_step_never_waits(clip: str) -> None:
    with counted() as work:
        view = TargetView("3", fakes(64, 16), fakes(8, 16))
        config = MLSADConfig(**vars(SMALL) | {"clip_wrt": clip})
        learner = GeneratorLearner(config, 4, view.train, 7, Parallel(), 100)
        assert not steps(learner, view, work).waits


def test_a_flows_step_waits_once_for_what_was_not_finite() -> None:
    """Rows that are not finite are left out of their step: whether there are any is asked before the step is taken."""
    with counted() as work:
        view = TargetView("3", fakes(64, 8, 1), fakes(8, 8, 1), auxiliary=(fakes(64, 8, 1), fakes(8, 8, 1)))
        learner = Flows(TINY).learner(GENERAL_FLOW, view, {}, Parallel())
        learner.total_steps = 1000
        done = steps(learner, view, work)
        assert list(done.waits.values()) == [len(STEPS)]
        assert next(iter(done.waits)).startswith("tolist at flows/learner.py")


SOURCES: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.cpu().numpy(),
    "__bool__": lambda x: bool(x.any()),
    "index by a mask": lambda x: x[x > 0],
    "index by the host": lambda x: x[torch.arange(2)],
    "nonzero": lambda x: torch.where(x > 0, x, 0).to("cpu"),
    "copy to the device": lambda x: torch.arange(2).to(x.device),
    "list": lambda x: x.new_tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_what_makes_a_host_wait_is_counted(kind: str) -> None:
    with counted() as work:
        x = torch.ones(4, device=ACCELERATOR)
        work.clear()
        SOURCES[kind](x)
        assert work.waits.total() >= 1


def test_operations_are_counted_and_do_not_wait() -> None:
    with counted() as work:
        x = torch.ones(4, device=ACCELERATOR)
        work.clear()
        (x * 2).view(2, 2).sum(0)
        torch.arange(4).pin_memory().to(ACCELERATOR, non_blocking=True)
        assert work.operations == Counter({"mul": 1, "sum": 1, "_to_copy": 1}), "a view is none"
        assert not work.waits


@pytest.mark.gpu
def test_on_a_gpu_a_detectors_and_a_generators_step_never_wait() -> None:
    device = torch.device("cuda")
    images = torch.randint(256, (64, 3, 16, 16), dtype=torch.uint8, device=device)
    view, banks = TargetView("3", images, images[:8]), dict.fromkeys((2, 4, 8), images)
    learners = [
        DetectorLearner(SMALL, 4, (view.train, view.val), banks, 7, Parallel(), 100),
        GeneratorLearner(SMALL, 4, view.train, 7, Parallel(), 100),
    ]
    for learner in learners:
        batches = unit_batches(TARGET, 0, view, learner.batch_size, Parallel())
        learner.step(0, batches(0))
        torch.cuda.set_sync_debug_mode("error")
        try:
            for step in STEPS:
                learner.step(step, batches(step))
        finally:
            torch.cuda.set_sync_debug_mode("default")
