"""Training a flow: resumed or in pieces it ends the same, broken numbers do not break it, and it really learns."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from tests.helpers.learners import GENERAL_FLOW, TARGET, TINY, batch_of, general_flow, noise, run, target_flow, view
from workloads.data.view import TargetView
from workloads.errors import UserError
from workloads.flows.config import FlowConfig
from workloads.flows.learner import FlowLearner
from workloads.flows.method import Flows
from workloads.flows.scorer import FlowScorer
from workloads.scoring.metrics import auroc
from workloads.training.checkpoint import load_state, save_state
from workloads.training.distributed import Parallel

RATIO = replace(TINY, outlier_loss="ratio", epochs=2)
CASES: dict[str, FlowConfig] = {
    "likelihood": TINY,
    "outlier ratio": RATIO,
    "outlier margin": replace(TINY, outlier_loss="margin"),
    "supervised, outliers": replace(RATIO, supervised=True),
    "patches": replace(TINY, kind="patch", patch=4),
    "dense": replace(TINY, kind="dense"),
    "no general flow": replace(TINY, hierarchy="none", from_general=False, score="likelihood"),
}


def general_artefact(config: FlowConfig) -> Any:
    return general_flow(config, view()).artifact() if config.hierarchy == "general" else None


def made(config: FlowConfig) -> tuple[FlowLearner, TargetView]:
    given = view()
    return target_flow(config, given, general_artefact(config)), given


def weights(learner: FlowLearner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.net.state_dict().items()}


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_equals_an_uninterrupted_one_and_its_state_scores(case: str, tmp_path: Path) -> None:
    config = CASES[case]
    whole, given = made(config)
    logs = run(whole, TARGET, given.train, range(4))
    first, _ = made(config)
    run(first, TARGET, given.train, range(2))
    save_state(tmp_path / "half", first.state())
    second, _ = made(config)
    second.load_state(load_state(tmp_path / "half"))
    assert run(second, TARGET, given.train, range(2, 4)) == logs[2:]
    for name, value in weights(whole).items():
        assert torch.equal(value, second.net.state_dict()[name]), name
    save_state(tmp_path / "end", second.state())
    scorer = FlowScorer(config, torch.device("cpu"), general_artefact(config))
    scorer.load_state(load_state(tmp_path / "end"))
    for name, scores in whole.score(given.val).items():
        assert np.array_equal(scorer.score(given.val)[name], scores), name


@pytest.mark.parametrize("case", CASES)
def test_a_batch_in_pieces_gives_the_gradients_of_the_whole(case: str) -> None:
    whole, given = made(CASES[case])
    pieces, _ = made(replace(CASES[case], accumulate=3))
    batch = batch_of(whole, TARGET, given.train, 0)
    logs = [{k: float(v) for k, v in learner.step(0, batch).items()} for learner in (whole, pieces)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
    for a, b in zip(whole.net.parameters(), pieces.net.parameters(), strict=True):
        assert (a.grad - b.grad).abs().max() <= 1e-4 * a.grad.abs().max() + 1e-6


def test_only_normal_images_move_the_flow_by_likelihood_and_their_mean_is_what_is_descended() -> None:
    learner, given = made(CASES["no general flow"])
    batch = learner.feed.batch(0, batch_of(learner, TARGET, given.train, 0))
    loss = -learner.net(batch.images).log_prob.mean()
    expected = torch.autograd.grad(loss, list(learner.net.parameters()))
    gradients, sums, _ = learner.gradients(batch, torch.arange(8), 8)
    for own, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)
    assert float(sums[1]) / 8 == pytest.approx(-float(loss.detach()), rel=1e-5)


def test_the_actnorms_start_from_the_seeds_own_batches() -> None:
    one, two = made(CASES["no general flow"])[0], made(CASES["no general flow"])[0]
    other = made(replace(CASES["no general flow"], seed=1))[0]
    assert all(torch.equal(a, b) for a, b in zip(one.net.parameters(), two.net.parameters(), strict=True))
    shift = "body.blocks.0.steps.0.actnorm.shift"
    assert not torch.equal(one.net.state_dict()[shift], other.net.state_dict()[shift])
    with torch.inference_mode():
        z = one.net(one.feed.first()).latents[0]
    assert z.mean().abs() < 0.01
    assert abs(float(z.std()) - 1) < 0.05


class Poisoned(FlowLearner):
    """A flow whose noised images turn to NaN in chosen rows of chosen steps."""

    poison: dict[int, list[int]]

    def step(self, step: int, images: Tensor) -> dict[str, Tensor]:
        clean, rows = type(self.feed).batch, self.poison.get(step, [])

        def batch(at: int, chosen: Tensor) -> Any:
            found = clean(self.feed, at, chosen)
            found.images[rows] = math.nan
            return found

        self.feed.batch = batch  # type: ignore[method-assign]
        return super().step(step, images)


def poisoned(poison: dict[int, list[int]], **changes: Any) -> tuple[Poisoned, TargetView]:
    given = view()
    config = replace(CASES["no general flow"], **changes)
    learner = Poisoned(config, TARGET, given, Parallel(), steps=6)
    learner.poison = poison
    return learner, given


@pytest.mark.parametrize("accumulate", [1, 3])
def test_rows_that_are_not_finite_are_left_out_and_the_others_count_as_the_whole_batch(accumulate: int) -> None:
    learner, given = poisoned({0: [1, 6]}, accumulate=accumulate)
    clean, _ = poisoned({}, accumulate=accumulate)
    images = batch_of(learner, TARGET, given.train, 0)
    keep = torch.tensor([0, 2, 3, 4, 5, 7])
    expected, sums, _ = clean.gradients(clean.feed.batch(0, images), keep, 6)
    logs = learner.step(0, images)
    assert (float(logs["dropped"]), float(logs["skipped"])) == (2, 0)
    for parameter, gradient in zip(learner.net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert float(logs["bits_per_dim"]) == pytest.approx(8 - float(sums[1]) / 6 / (64 * math.log(2)), rel=1e-5)


def test_a_batch_with_a_quarter_or_less_left_is_skipped_and_counted_and_training_goes_on() -> None:
    learner, given = poisoned({1: list(range(6))})
    run(learner, TARGET, given.train, range(1))
    before = weights(learner)
    (skipped,) = run(learner, TARGET, given.train, range(1, 2))
    assert (skipped["skipped"], skipped["dropped"]) == (1, 6)
    assert "bits_per_dim" not in skipped
    assert all(torch.equal(value, learner.net.state_dict()[name]) for name, value in before.items())
    (after,) = run(learner, TARGET, given.train, range(2, 3))
    assert after["skipped"] == 1
    assert math.isfinite(after["bits_per_dim"])
    assert not all(torch.equal(value, learner.net.state_dict()[name]) for name, value in before.items())


def test_gradients_that_are_not_finite_skip_the_step_though_the_loss_is_finite() -> None:
    learner, given = poisoned({})
    broken = next(learner.net.parameters())
    broken.register_hook(lambda gradient: gradient * math.inf)
    before = weights(learner)
    (logs,) = run(learner, TARGET, given.train, range(1))
    assert logs["skipped"] == 1
    assert math.isfinite(logs["bits_per_dim"])
    assert all(torch.equal(value, learner.net.state_dict()[name]) for name, value in before.items())


def test_too_many_skipped_steps_in_a_row_are_an_error_that_says_what_to_do() -> None:
    every = list(range(8))
    learner, given = poisoned({0: every, 1: every, 3: every, 4: every, 5: every}, skip_limit=3)
    run(learner, TARGET, given.train, range(5))  # two, one that is fine, two
    with pytest.raises(FloatingPointError, match=r"3 steps in a row, up to step 5.*warmup_steps"):
        run(learner, TARGET, given.train, range(5, 6))


def test_the_warm_up_is_linear_and_then_the_rate_stays() -> None:
    learner, _ = made(replace(CASES["no general flow"], warmup_steps=4, lr=1e-3))
    assert [learner.learning_rate(step) for step in range(6)] == pytest.approx(
        [0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3, 1e-3]
    )
    published, _ = made(CASES["no general flow"])
    assert published.learning_rate(0) == 5e-4


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"hidden": 16}, "it has hidden 8, asked is hidden 16"), ({"scales": 1, "steps": 1}, "scales 2, steps 2")],
)
def test_a_general_flow_of_another_network_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    given = view()
    artifact = general_flow(TINY, given).artifact()
    with pytest.raises(UserError, match=said):
        target_flow(replace(TINY, **changes), given, artifact)
    rgb = view(train=noise(24, channels=3), auxiliary=None)
    with pytest.raises(UserError, match="channels 1"):
        target_flow(TINY, rgb, artifact)
    target_flow(replace(TINY, checkpointing=True, precision="bf16"), given, artifact)  # the same network


@pytest.mark.parametrize(
    ("config", "changes", "said"),
    [
        (CASES["supervised, outliers"], {"labels": None}, "labels of two classes"),
        (CASES["supervised, outliers"], {"classes": ("a",)}, "labels of two classes"),
        (RATIO, {"auxiliary": None}, "names no auxiliary set"),
        (
            TINY,
            {"auxiliary": (noise(8, channels=3), noise(8, channels=3))},
            r"\(3, 8, 8\), the normal ones \(1, 8, 8\)",
        ),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(config: FlowConfig, changes: dict[str, Any], said: str) -> None:
    artifact = general_flow(TINY, view()).artifact()
    with pytest.raises(UserError, match=said):
        target_flow(config, view(**changes), artifact)


def test_labels_go_with_their_images_whatever_the_step() -> None:
    given = view()
    marked = given.train.clone()
    marked[:, 0, 4, 4] = torch.arange(24, dtype=torch.uint8) * 10  # which image it is; no shift, no mirror
    given = replace(given, train=marked)
    config = replace(CASES["supervised, outliers"], translate=0.0)
    learner = target_flow(config, given, general_flow(config, given).artifact())
    for step in (0, 1, 5):
        batch = learner.feed.batch(step, batch_of(learner, TARGET, given.train, step))
        image = ((batch.images[:, 0, 4, 4] + 0.5) * 256).floor() / 10
        assert torch.equal(batch.labels, given.labels[image.long()])


def digits() -> Tensor:
    """scikit-learn's 1,797 digits, uint8 (N, 1, 8, 8)."""
    return torch.from_numpy(load_digits().images * 15.9).to(torch.uint8)[:, None]


def test_a_flow_learns_digits_and_its_held_out_likelihood_rises() -> None:
    images = digits()
    config = replace(TINY, steps=4, hidden=16, batch_size=32, general_batch_size=32, lr=2e-3, general_lr=2e-3)
    config = replace(config, general_epochs=4.0, general_flip=False)
    own = TargetView(GENERAL_FLOW.target, images[:800], images[800:], auxiliary=(images[:800], images[800:]))
    learner = Flows(config).learner(GENERAL_FLOW, own, {}, Parallel())
    logs = run(learner, GENERAL_FLOW, own.train, range(learner.total_steps))
    held_out = [row["val_bits_per_dim"] for row in logs if "val_bits_per_dim" in row]
    assert len(held_out) >= 10
    assert held_out[-1] < held_out[0] - 0.4  # over four seeds: 0.58 to 0.71
    assert held_out[-1] < 7.5  # a uniform density has 8
    assert np.mean([row["bits_per_dim"] for row in logs[-10:]]) < logs[0]["bits_per_dim"] - 0.4


def test_the_ratio_finds_what_a_likelihood_takes_for_normal() -> None:
    """Noise is normal; anomalies are flat greys, far likelier under the general flow, which knows both."""
    flat = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    general = torch.cat([noise(128, 3), flat[::2]])
    given = view(train=noise(96, 1), val=noise(32, 2), auxiliary=(general, noise(8)))
    config = replace(TINY, steps=3, hidden=16, batch_size=16, general_batch_size=16, epochs=8, general_epochs=8)
    config = replace(config, lr=2e-3, general_lr=2e-3, translate=0.0, outlier_loss="ratio", outlier_temperature=100.0)
    config = replace(config, outlier_weight=300.0)
    start = general_flow(config, given, steps=96)
    learner = target_flow(config, given, start.artifact())
    run(learner, TARGET, given.train, range(learner.total_steps))
    normal, odd = learner.score(given.val), learner.score(flat[1::2])
    anomalous = np.r_[np.zeros(len(given.val), bool), np.ones(128, bool)]
    found = {name: auroc(np.r_[normal[name], odd[name]], anomalous) for name in ("ratio", "general_likelihood")}
    assert found["general_likelihood"] < 0.1
    assert found["ratio"] > 0.95
