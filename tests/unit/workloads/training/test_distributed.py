"""Two workers that share every batch must learn what one worker learns from the whole batch.

Two gloo processes and this one take the same steps from the same seed; they differ in the order of float additions
alone. Adam divides a gradient by its own size, which hides a wrong scale and turns rounding noise in a gradient that
ought to be 0 into a move of a whole learning rate (1e-4 and more). So both gradients and weights are compared.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.workers import one_and_two
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.gan import GeneratorLearner
from workloads.training.distributed import Draws, Parallel

STEPS = 3
GRADIENT, NOISE = 1e-3, 5e-8  # of a tensor's largest entry, and absolute; measured: at most 1.4e-4 where it is not 0
WEIGHT = 1e-5  # absolute, after steps that move weights by 3e-4 to 1.2e-3; measured: at most 8e-7
BASE = MLSADConfig(width=0.0625, batch_size=8, generator_batch_size=8, bank_size=16)

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "generator, jsd, parameters": ("generator", {}),
    "generator, dv, output, local stddev": (
        "generator",
        {"mutual_information": "dv", "clip_wrt": "output", "minibatch_stddev": "local"},
    ),
    "D_1 of noise": ("detector 1", {}),
    "D_2 of the batch's pixels": ("detector 2", {"shuffle_pool": "batch"}),
    "D_8 of a bank, grid positions": ("detector 8", {"position": "grid"}),
    "D_4 of random crops": ("detector 4", {"crop": 9, "levels": (4,)}),
}


def images(count: int = 24) -> Tensor:
    return torch.randint(256, (count, 1, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def learner(name: str, changes: dict[str, Any], parallel: Parallel) -> GeneratorLearner | DetectorLearner:
    config, data = replace(BASE, **changes), images()
    if name == "generator":
        return GeneratorLearner(config, 4, data, seed=7, parallel=parallel, steps=STEPS)
    bank = images(16).expand(-1, 3, -1, -1)
    level = int(name.split()[1])
    return DetectorLearner(config, level, (data, data[:4]), {2: bank, 4: bank, 8: bank}, 7, parallel, STEPS)


def train(parallel: Parallel) -> dict[str, Any]:
    """Per case: weights at the end, gradients of the first step, and the logged scalars, averaged over workers."""
    found: dict[str, Any] = {}
    for case, (name, changes) in CASES.items():
        it = learner(name, changes, parallel)
        nets = [it.net] if isinstance(it, DetectorLearner) else [it.generator, it.discriminator, it.statistics]
        logs, first = [], []
        for step in range(STEPS):
            batch = images()[step : step + it.batch_size]
            logged = it.step(step, batch[parallel.rows(it.batch_size)])
            logs.append({key: float(parallel.mean(value)) for key, value in logged.items()})
            first = first or [p.grad.clone() for net in nets for p in net.parameters()]
        weights = {f"{i}.{k}": v.clone() for i, net in enumerate(nets) for k, v in net.state_dict().items()}
        found[case] = {"weights": weights, "gradients": first, "logs": logs}
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What one process found, and what each of two found."""
    return one_and_two(train, tmp_path_factory.mktemp("gloo"))


@pytest.mark.parametrize("case", CASES)
def test_two_workers_take_the_gradients_of_one(runs: Any, case: str) -> None:
    one, (first, _) = runs
    for alone, shared in zip(one[case]["gradients"], first[case]["gradients"], strict=True):
        assert (alone - shared).abs().max() <= GRADIENT * alone.abs().max() + NOISE


@pytest.mark.parametrize("case", CASES)
def test_two_workers_end_with_the_weights_and_logs_of_one(runs: Any, case: str) -> None:
    one, (first, _) = runs
    for name, alone in one[case]["weights"].items():
        if "dv" in case and name.startswith("2.") and name.endswith("bias"):
            continue  # dv ignores a shift of T: these gradients are 0 but for rounding
        torch.testing.assert_close(first[case]["weights"][name], alone, rtol=0, atol=WEIGHT, msg=name)
    for alone, shared in zip(one[case]["logs"], first[case]["logs"], strict=True):
        assert shared == pytest.approx(alone, abs=WEIGHT)


@pytest.mark.parametrize("case", CASES)
def test_workers_never_drift_apart(runs: Any, case: str) -> None:
    _, (first, second) = runs
    assert first[case]["logs"] == second[case]["logs"]
    for name, weight in first[case]["weights"].items():
        assert torch.equal(weight, second[case]["weights"][name]), name


def test_workers_rows_make_up_the_draw_of_one() -> None:
    whole = Draws(3, torch.device("cpu"), Parallel())
    parts = [Draws(3, torch.device("cpu"), Parallel(rank, 2)) for rank in range(2)]
    for draw in (lambda d: d.normal((6, 2)), lambda d: d.uniform((4,)), lambda d: d.mine(d.integers(9, (8, 3)))):
        assert torch.equal(torch.cat([draw(part) for part in parts]), draw(whole))


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match="7 cannot be shared equally by 2"):
        learner("detector 2", {"batch_size": 7}, Parallel(0, 2))
    with pytest.raises(ValueError, match="generator_batch_size 12"):
        learner("generator", {"generator_batch_size": 12}, Parallel(0, 2))
