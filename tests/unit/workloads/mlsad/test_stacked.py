"""Stacked training of M trials equals M separate runs (invariant 11)."""

from dataclasses import replace

import pytest
import torch

from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.stacked import StackedDetectors
from workloads.training.distributed import Parallel

CONFIG = MLSADConfig(width=0.0625, batch_size=4, grey_as_rgb=False, detector_lr=1e-3, detector_milestones=(0.5,))
POINTS = (
    {"weight_decay": 5e-4, "noise": 0.05, "lambda_structure": 0.6, "lambda_position": 0.4},
    {"weight_decay": 1e-2, "noise": 0.0, "lambda_structure": 1.0, "lambda_position": 0.0},
    {"weight_decay": 0.0, "noise": 0.1, "lambda_structure": 0.4, "lambda_position": 1.0},
)
STEPS = 8


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (12, 1, 16, 16), generator=generator, dtype=torch.uint8)


def learner(level, images, **point):
    banks = dict.fromkeys((2, 4, 8), images.flip(0))
    return DetectorLearner(replace(CONFIG, **point), level, (images, images[:2]), banks, 7, Parallel(), STEPS)


def differences(one, other):
    """The largest over all weights and over all moments, relative to the largest value of each tensor."""
    pairs = list(zip(one.net.state_dict().values(), other.net.state_dict().values(), strict=True))
    for name in ("exp_avg", "exp_avg_sq"):
        states = zip(one.optimiser.state.values(), other.optimiser.state.values(), strict=True)
        pairs += [(a[name], b[name]) for a, b in states]
    return max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in pairs)


@pytest.mark.parametrize("level", [1, 4, 16])
def test_stacked_trials_equal_separate_runs(level, images):
    alone = [learner(level, images, **point) for point in POINTS]
    together = [learner(level, images, **point) for point in POINTS]
    stack = StackedDetectors(together)
    for step in range(STEPS):
        batch = images[step : step + 4]
        expected = [one.step(step, batch)["loss"] for one in alone]
        found = [logs["loss"] for logs in stack.step(step, batch)]
        assert torch.allclose(torch.stack(found), torch.stack(expected), rtol=1e-5)
    stack.unstack()
    for one, other in zip(together, alone, strict=True):
        assert differences(one, other) < 1e-4
    weights = [one.net.out.weight for one in together]
    assert not torch.allclose(weights[0], weights[1])  # the trials did differ


def test_a_stack_takes_trials_up_where_they_stand_and_leaves_them_going_on_alone(images):
    alone = [learner(4, images, **point) for point in POINTS]
    changing = [learner(4, images, **point) for point in POINTS]
    for step in range(6):
        for one in alone:
            one.step(step, images[:4])
    for step in (0, 1):
        for one in changing:
            one.step(step, images[:4])
    stack = StackedDetectors(changing)
    for step in (2, 3):
        stack.step(step, images[:4])
    stack.unstack()
    for step in (4, 5):
        for one in changing:
            one.step(step, images[:4])
    assert max(differences(one, other) for one, other in zip(changing, alone, strict=True)) < 1e-4


@pytest.mark.parametrize("other", [{"blocks": 2}, {"dropout": 0.2}, {"detector_lr": 1e-4}])
def test_trials_that_differ_in_more_than_scalars_are_refused(other, images):
    with pytest.raises(ValueError, match="may differ in weight_decay, noise"):
        StackedDetectors([learner(1, images), learner(1, images, **other)])
