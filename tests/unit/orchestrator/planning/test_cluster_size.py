"""What a plan says of GPU memory, against what autograd really keeps in one step of each kind of network."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from orchestrator.planning.cluster_size import CUDA_BYTES, check_crowded_nodes, memory_of, refuse_crowded
from tests.helpers.plans import planned
from workloads.data.view import TargetView
from workloads.errors import UserError
from workloads.flows.config import FlowConfig
from workloads.flows.learner import FlowLearner
from workloads.flows.method import Flows
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.gan import GeneratorLearner
from workloads.mlsad.method import MLSAD
from workloads.training.distributed import Parallel
from workloads.units import ImageShape, TrainingCounts, Unit


def pictures(count, seed=1, side=32):
    return torch.randint(256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def kept_bytes(step):
    """Bytes of distinct storages that autograd saved during a call, leaves (weights) apart."""
    found = {}

    def pack(tensor):
        if not isinstance(tensor, torch.nn.Parameter) and tensor.grad_fn is not None:
            storage = tensor.untyped_storage()
            found[storage.data_ptr(), tensor.grad_fn] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(found.values())


def learner_of(kind, level):
    config = MLSADConfig(width=0.25, batch_size=8, generator_batch_size=8, bank_size=16)
    unit, shape = Unit(kind, "x", f"level_{level}"), ImageShape(3, 32, 32)
    if kind == "generator":
        return GeneratorLearner(config, level, pictures(20), 7, Parallel(), 6), MLSAD(config).cost(
            unit, shape, TrainingCounts(20)
        ).bytes
    banks = {k: pictures(16, seed=k) for k in (2, 4, 8)}
    learner = DetectorLearner(config, level, (pictures(20), pictures(5, seed=2)), banks, 7, Parallel(), 6)
    return learner, MLSAD(config).cost(unit, shape, TrainingCounts(20)).bytes


@pytest.mark.parametrize(
    ("kind", "level"), [("detector", 1), ("detector", 8), ("detector", 16), ("generator", 2), ("generator", 8)]
)
def test_the_estimate_of_an_mlsad_network_is_what_autograd_keeps_within_a_factor(kind, level):
    learner, estimate = learner_of(kind, level)
    measured = kept_bytes(lambda: learner.step(0, pictures(8)))
    assert 0.5 < estimate / measured < 3


@pytest.mark.parametrize("kind", ["glow", "patch"])
def test_the_estimate_of_a_flow_is_what_autograd_keeps_within_a_factor(kind):
    config = FlowConfig(kind=kind, scales=2, steps=3, hidden=64, batch_size=8, hierarchy="none", outlier_loss="none")
    unit, images = Unit("detector", "x", "flow"), pictures(20, side=16)
    view = TargetView("x", images, pictures(5, seed=2, side=16))
    learner = FlowLearner(config, unit, view, Parallel(), 6)
    measured = kept_bytes(lambda: learner.step(0, images[:8]))
    estimate = Flows(config).cost(unit, ImageShape(3, 16, 16), TrainingCounts(20)).bytes
    assert 0.5 < estimate / measured < 3


def plan_for(**options):
    return planned("sweep_cifar10", **options)


def test_workers_that_would_not_fit_on_a_shared_gpu_are_refused_with_a_share_that_fits(tmp_path):
    plan = plan_for(gpus_per_worker=0.05, search="grid")
    with pytest.raises(UserError, match=r"20 worker\(s\) on one T4 do not fit") as refused:
        refuse_crowded(plan, "T4")
    share = float(refused.value.fix.removeprefix("--gpus-per-worker "))
    refuse_crowded(plan_for(gpus_per_worker=share, search="grid"), "T4")


def test_a_clusters_gpus_are_checked_as_far_as_their_kind_is_told(tmp_path):
    crowded, fitting = (plan_for(gpus_per_worker=share, search="grid") for share in (0.05, 0.5))
    t4, bare, head = {"GPU": 1, "accelerator_type:T4": 1}, {"GPU": 1}, {"CPU": 0}
    with pytest.raises(UserError, match="on one T4 do not fit"):
        check_crowded_nodes(crowded, [head, bare, t4])
    assert check_crowded_nodes(fitting, [head, t4]) == ""
    for nodes in ([], [head], [bare, t4]):  # GPUs that start from zero, or of a kind that Ray does not know
        assert "not every node tells" in check_crowded_nodes(fitting, nodes)
    warning = check_crowded_nodes(crowded, [{"GPU": 4, "accelerator_type:B900": 1}])
    assert "B900" in warning
    assert "--gpu KIND --gpus-per-worker 0.05" in warning
    assert check_crowded_nodes(plan_for(gpus_per_worker=1), [head]) == ""


def test_a_larger_batch_needs_more_memory_and_cuda_has_its_own(tmp_path):
    small, large = (memory_of(plan_for(set=[f"batch_size={size}"])) for size in (8, 64))
    assert CUDA_BYTES < small <= large


def test_an_unknown_gpu_is_named(tmp_path):
    with pytest.raises(UserError) as refused:
        refuse_crowded(plan_for(), "H10")
    assert "did you mean" in refused.value.details
