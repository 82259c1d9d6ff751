"""Workers that share every batch of a flow, equally or not, must learn what one worker learns from the whole batch.

Processes that talk by gloo and this one take the same steps from the same seed; they differ in the order of float
additions alone. Adamax divides a gradient by its own size, which hides a wrong scale, so gradients are compared, too.
"""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.helpers.learners import TARGET, TINY, batch_of, general_flow, target_flow, view
from tests.helpers.workers import one_and_two
from workloads.flows.config import FlowConfig
from workloads.flows.learner import FlowLearner
from workloads.training.distributed import Parallel

STEPS = 3
GRADIENT, NOISE = 1e-3, 1e-5  # of a tensor's largest entry, and absolute where gradients are some 1 to 100
WEIGHT = 1e-5  # absolute, after steps that move weights by 5e-4 each
CASES: dict[str, FlowConfig] = {
    "likelihood from scratch": replace(TINY, hierarchy="none", from_general=False, score="likelihood"),
    "outlier ratio, unequal rows": replace(TINY, batch_size=7, outlier_loss="ratio", warmup_steps=2),
    "supervised, unequal rows, in pieces": replace(
        TINY, batch_size=7, outlier_loss="ratio", supervised=True, accumulate=2
    ),
    "margin, an image is not finite": replace(TINY, batch_size=7, outlier_loss="margin"),
}


def poison(learner: FlowLearner) -> None:
    """Row 5 of the global batch of step 1 turns to NaN, on the worker that has it."""
    clean, rows = learner.feed.batch, learner.parallel.rows(learner.batch_size)

    def batch(step: int, images: Any) -> Any:
        found = clean(step, images)
        if step == 1 and rows.start <= 5 < rows.stop:
            found.images[5 - rows.start] = math.nan
        return found

    learner.feed.batch = batch  # type: ignore[method-assign]


def train(parallel: Parallel) -> dict[str, Any]:
    """Per case: weights at the start and at the end, gradients of the first step, and what was logged."""
    found: dict[str, Any] = {}
    for case, config in CASES.items():
        given = view()
        general = general_flow(config, given).artifact() if config.hierarchy == "general" else None
        learner = target_flow(config, given, general, parallel)
        if "not finite" in case:
            poison(learner)
        start = {name: value.clone() for name, value in learner.net.state_dict().items()}
        logs, first = [], []
        for step in range(STEPS):
            logged = learner.step(step, batch_of(learner, TARGET, given.train, step))
            logs.append({name: float(value) for name, value in logged.items()})
            first = first or [p.grad.clone() for p in learner.net.parameters()]
        found[case] = {"start": start, "weights": learner.net.state_dict(), "gradients": first, "logs": logs}
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What one process found, and what each of two found."""
    return one_and_two(train, tmp_path_factory.mktemp("gloo"))


@pytest.mark.parametrize("case", CASES)
def test_two_workers_start_from_the_actnorms_of_one(runs: Any, case: str) -> None:
    one, (first, second) = runs
    for name, alone in one[case]["start"].items():
        assert torch.equal(first[case]["start"][name], alone), name
        assert torch.equal(second[case]["start"][name], alone), name


@pytest.mark.parametrize("case", CASES)
def test_two_workers_take_the_gradients_of_one(runs: Any, case: str) -> None:
    one, (first, _) = runs
    for alone, shared in zip(one[case]["gradients"], first[case]["gradients"], strict=True):
        assert (alone - shared).abs().max() <= GRADIENT * alone.abs().max() + NOISE


@pytest.mark.parametrize("case", CASES)
def test_two_workers_end_with_the_weights_and_logs_of_one(runs: Any, case: str) -> None:
    one, (first, _) = runs
    for name, alone in one[case]["weights"].items():
        torch.testing.assert_close(first[case]["weights"][name], alone, rtol=0, atol=WEIGHT, msg=name)
    for alone, shared in zip(one[case]["logs"], first[case]["logs"], strict=True):
        assert shared == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_workers_never_drift_apart(runs: Any, case: str) -> None:
    _, (first, second) = runs
    assert first[case]["logs"] == second[case]["logs"]
    for name, weight in first[case]["weights"].items():
        assert torch.equal(weight, second[case]["weights"][name]), name


def test_the_image_that_is_not_finite_was_dropped_by_all(runs: Any) -> None:
    one, shared = runs
    for found in (one, *shared):
        logs = found["margin, an image is not finite"]["logs"]
        assert [row["dropped"] for row in logs] == [0, 1, 1]
        assert [row["skipped"] for row in logs] == [0, 0, 0]


def test_rows_of_any_number_of_workers_make_up_the_batch() -> None:
    for world in (1, 2, 3, 5, 7):
        rows = [range(64)[Parallel(rank, world).rows(64)] for rank in range(world)]
        assert [row for share in rows for row in share] == list(range(64))
        assert max(map(len, rows)) - min(map(len, rows)) <= 1
