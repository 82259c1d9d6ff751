"""Precision: what `auto` becomes, what bfloat16 changes of a loss, and how runs of earlier versions are read."""

from dataclasses import replace

import pytest
import torch

from tests.helpers.learners import GENERAL_FLOW, TARGET, TINY, general_flow, run, target_flow, view
from workloads.fitting import settled
from workloads.flows.method import Flows
from workloads.keys import leaves_precision_open as is_open
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.gan import GeneratorLearner
from workloads.mlsad.method import MLSAD
from workloads.mlsad.networks.generator import SharedBatchNorm
from workloads.patch_memory.method import PatchMemory
from workloads.training.distributed import Parallel
from workloads.training.precision import computing_in, fast, upgraded, upgraded_space

CPU = torch.device("cpu")
STEPS = 12
"""Of every kind of unit, to its first rung."""
TOLERANCE = 0.02
"""Bits/dim of a flow, and the losses of MLSAD, in bfloat16 against float32 at the first rung."""
SMALL = MLSADConfig(width=0.0625, batch_size=8, generator_batch_size=8, bank_size=16, dropout=0.0)


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)


def logged(kind: str, chosen: str) -> dict[str, float]:
    """The last logs of a kind of unit at its first rung."""
    if kind == "general flow":
        config, images = replace(TINY_FLOW, precision=chosen), view()
        learner = general_flow(config, images, 0)
        return run(learner, GENERAL_FLOW, images.auxiliary[0], range(STEPS))[-1]
    if kind == "flow":
        learner = target_flow(replace(TINY_FLOW, precision=chosen, hierarchy="none", from_general=False), view())
        return run(learner, TARGET, view().train, range(STEPS))[-1]
    config, images = replace(SMALL, precision=chosen), pictures(24)
    if kind == "generator":
        learner = GeneratorLearner(config, 4, images, 7, Parallel(), STEPS)
    else:
        banks = {k: pictures(16, seed=k) for k in (2, 4, 8)}
        learner = DetectorLearner(config, 4, (images, images[:5]), banks, 7, Parallel(), STEPS)
    logs = [learner.step(step, images[:8]) for step in range(STEPS)]
    return {name: float(value) for name, value in logs[-1].items()}


TINY_FLOW = replace(TINY, score="likelihood")
OF_KINDS = {
    "general flow": ("bits_per_dim",),
    "flow": ("bits_per_dim",),
    "generator": ("d_loss", "g_loss", "information"),
    "detector": ("loss",),
}


@pytest.mark.parametrize("kind", OF_KINDS)
def test_losses_at_the_first_rung_in_bfloat16_are_near_those_in_float32(kind: str) -> None:
    rough, exact = logged(kind, "bf16"), logged(kind, "fp32")
    assert rough != exact, "bfloat16 was not used"
    for name in OF_KINDS[kind]:
        assert rough[name] == pytest.approx(exact[name], abs=TOLERANCE), name


def test_auto_becomes_what_the_device_is_fast_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, expected in ((False, "fp32"), (True, "bf16")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda able=able: able)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert fast(CPU) == expected
        assert settled(Flows, {"precision": "auto", "lr": 1.0}, CPU) == {"precision": expected, "lr": 1.0}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, expected in (((7, 5), "fp32"), ((9, 0), "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device, which=capability: which)
        assert fast(torch.device("cuda")) == expected


def test_a_gpu_that_is_not_seen_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fast(torch.device("cuda")) == "fp32"


def test_only_methods_with_the_key_leave_a_precision_open() -> None:
    assert is_open(MLSAD.Config, {"precision": "auto"})
    assert not is_open(MLSAD.Config, {"precision": "bf16"})
    assert not is_open(PatchMemory.Config, {"precision": "auto"})


def test_nothing_is_trained_in_a_precision_that_is_open() -> None:
    with pytest.raises(ValueError, match="before anything trains"), computing_in("auto", CPU):
        pass


def test_autocast_of_earlier_versions_is_a_precision() -> None:
    assert upgraded("flow", {"autocast": True, "lr": 0.1}) == {"precision": "bf16", "lr": 0.1}
    assert upgraded("other", {"autocast": True}) == {"autocast": True}, "a user's own key"
    space = {
        "workload": "klods",
        "fixed": {"autocast": False},
        "axes": {"autocast": (True, False)},
        "presets": {"paper": {"config": {"autocast": True}, "points": 1}},
    }
    assert upgraded_space(space) == {
        "workload": "klods",
        "fixed": {"precision": "fp32"},
        "axes": {"precision": ["bf16", "fp32"]},
        "presets": {"paper": {"config": {"precision": "bf16"}, "points": 1}},
    }


def test_statistics_that_workers_share_are_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda total: total.mul_(2))  # the other has the same rows
    alone, shared = SharedBatchNorm(4), SharedBatchNorm(4)
    shared.parallel = Parallel(0, 2)
    rows = torch.randn(8, 4, 5, 5).bfloat16()
    assert shared(rows).dtype == torch.float32
    alone(torch.cat([rows, rows]).float())
    torch.testing.assert_close(shared.running_mean, alone.running_mean)
    torch.testing.assert_close(shared.running_var, alone.running_var)
