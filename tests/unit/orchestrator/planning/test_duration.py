"""The model of time: workers divide what they share alone, and send what a cost states."""

from dataclasses import replace

import pytest
import torch
import torch.distributed as dist

from orchestrator.planning.cluster_size import forecast
from orchestrator.planning.duration import load_of, training
from orchestrator.planning.simulation import simulate
from tests.helpers.plans import planned
from workloads.data.view import TargetView
from workloads.flows.config import FlowConfig
from workloads.flows.learner import FlowLearner
from workloads.flows.method import Flows
from workloads.method import Cost
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.gan import GeneratorLearner
from workloads.mlsad.method import MLSAD
from workloads.training.distributed import Parallel
from workloads.units import ImageShape, TrainingCounts, Unit

SPEEDS = {"rate": 1e9, "start": 10.0, "trial_start": 1.0, "bandwidth": 1e9, "latency": 1e-3}
TWO = Parallel(0, 2)
ARCHITECTURE = {"width": 0.25, "batch_size": 8, "generator_batch_size": 8, "bank_size": 16}


def general(**options):
    return planned("flow_general", **options)


def test_a_stage_is_divided_by_the_workers_that_share_its_batches_and_by_no_others():
    for share, expected in (("batches", 64), ("units", 1)):
        one, many = (
            load_of(general(workers=count, share=share), SPEEDS | {"bandwidth": 1e30, "latency": 0.0})
            for count in (1, 64)
        )
        assert one.rounds[0][0] / many.rounds[0][0] == pytest.approx(expected)
    estimates = [general(workers=count, share="units").estimate for count in (1, 2)]
    assert estimates[0].stages == pytest.approx(estimates[1].stages), "a worker more cannot share the one stage"


def test_a_price_follows_the_time_that_sharing_takes():
    one, eight = (
        forecast(general(workers=count, share="batches", gpus_per_worker=1), [8], "H100", 1, 8, 10_000.0)
        for count in (1, 8)
    )
    assert 1 < one.fitting[8].seconds / eight.fitting[8].seconds <= 8
    assert eight.fitting[8].idle > 0.5, "gradients of 176 MB a step keep eight GPUs waiting"


def test_what_cannot_be_shared_and_what_is_alone_sends_nothing():
    cost = Cost(1e9, sent=1e9, messages=1000)
    assert training(cost, SPEEDS, 1).waiting == 0
    assert training(cost, SPEEDS, 4).seconds == pytest.approx(1 / 4 + 2 * 3 / 4 + 2 * 1000 * 1e-3)
    assert training(replace(cost, shared=False), SPEEDS, 4).seconds == pytest.approx(1)


def test_gangs_train_a_round_of_stages_side_by_side():
    plan = planned("sweep_cifar10", search="grid", workers=8, share="batches", gpus_per_worker=1)
    load = load_of(plan, SPEEDS)
    assert len(load.rounds[0]) == 30
    one, eight = (simulate(load, slots) for slots in (1, 8))
    assert one.stages - load.round_start == pytest.approx(sum(load.rounds[0]))
    assert eight.stages < one.stages / 6
    assert one.busy == eight.busy < one.workers * one.seconds


def pictures(count, side=32):
    return torch.randint(256, (count, 3, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.fixture
def sent(monkeypatch):
    """Sizes of the messages that are summed between workers; nobody answers."""
    sizes = []
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: sizes.append(tensor.nbytes))
    monkeypatch.setattr(dist, "broadcast", lambda _tensor, _source: None)

    def gathered(parts, own):
        sizes.append(own.nbytes)
        for part in parts:
            part.copy_(own)

    monkeypatch.setattr(dist, "all_gather", gathered)
    return sizes


@pytest.mark.parametrize("kind", ["generator", "detector", "flow"])
def test_a_cost_states_what_a_step_really_sends(sent, kind):
    images, counts = pictures(20), TrainingCounts(20)
    if kind == "flow":
        config = FlowConfig(kind="glow", scales=2, steps=3, hidden=64, batch_size=8, hierarchy="none")
        method, unit = Flows(config), Unit("detector", "x", "flow")
        learner = FlowLearner(config, unit, TargetView("x", images, pictures(5)), TWO, 6)
    else:
        method, unit = MLSAD(MLSADConfig(**ARCHITECTURE)), Unit(kind, "x", "level_4")
        config = method.config
        banks = {level: pictures(16) for level in (2, 4, 8)}
        learner = (
            GeneratorLearner(config, 4, images, 7, TWO, 6)
            if kind == "generator"
            else DetectorLearner(config, 4, (images, pictures(5)), banks, 7, TWO, 6)
        )
    for step in range(2):  # the first may prepare what later ones have
        sent.clear()
        learner.step(step, images[:8] if kind == "generator" else images[:4])
    cost, steps = method.cost(unit, ImageShape(3, 32, 32), counts), method.steps(unit, counts)
    assert len(sent) == pytest.approx(cost.messages / steps, rel=0.05)
    assert sum(sent) == pytest.approx(cost.sent / steps, rel=0.2)


def test_the_longest_is_what_a_launch_takes_that_stops_no_trial():
    plan, whole = (planned("sweep_digits", points=9, scheduler=kind) for kind in ("asha", "fifo"))
    stopped, uninterrupted = plan.estimate, whole.estimate
    assert stopped.total < stopped.longest
    assert stopped.longest == pytest.approx(uninterrupted.total)
