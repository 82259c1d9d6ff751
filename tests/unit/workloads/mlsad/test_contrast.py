"""Losses against their formulas, training that is reproducible and resumable, scores that depend on one image alone."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tune_spaces.shared.mlsad_spaces import PUBLISHED_GRID
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.entropy import derangement, entropy_weight, mutual_information
from workloads.mlsad.gan import GeneratorLearner
from workloads.mlsad.method import MLSAD
from workloads.mlsad.mrf import to_signed
from workloads.mlsad.networks.detector import contrast_loss
from workloads.training import checkpoint
from workloads.training.batches import batch_rows
from workloads.training.distributed import Parallel

TINY = MLSADConfig(width=0.0625, batch_size=8, generator_batch_size=8, bank_size=16)
Learner = DetectorLearner | GeneratorLearner


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def pictures(count: int, seed: int = 1, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, 16, 16), generator=generator, dtype=torch.uint8)


def detector(config: MLSADConfig = TINY, level: int = 4, steps: int = 6, seed: int = 7) -> DetectorLearner:
    banks = {k: pictures(16, seed=k) for k in (2, 4, 8)}
    return DetectorLearner(config, level, (pictures(20), pictures(5, seed=2)), banks, seed, Parallel(), steps)


def generator(config: MLSADConfig = TINY, level: int = 4, steps: int = 6, seed: int = 7) -> GeneratorLearner:
    return GeneratorLearner(config, level, pictures(20), seed, Parallel(), steps)


def train(learner: Learner, images: Tensor, first: int = 0, last: int | None = None) -> list[dict[str, float]]:
    logs = []
    for step in range(first, learner.total_steps if last is None else last):
        rows = batch_rows(learner.seed, step, learner.batch_size, len(images))
        logs.append({key: float(value) for key, value in learner.step(step, images[rows]).items()})
    return logs


def tensors(state: object, path: str = "") -> dict[str, Tensor]:
    """Every tensor of a state by its path."""
    found: dict[str, Tensor] = {}
    checkpoint.flatten(state, found, path)
    return found


def same(a: Learner, b: Learner) -> bool:
    one, two = tensors(a.state()), tensors(b.state())
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


# --- Eq. 8: the adaptive weight


@given(st.integers(0, 10**6), st.floats(-6, 6), st.floats(-6, 6))
@settings(deadline=None, max_examples=100)
def test_the_entropy_gradient_never_outweighs_the_local_one(seed, log_local, log_entropy) -> None:
    torch.manual_seed(seed)
    local = [torch.randn(3, 4) * 10**log_local, torch.randn(5) * 10**log_local]
    entropy = [torch.randn(3, 4) * 10**log_entropy, torch.randn(5) * 10**log_entropy]
    weight = float(entropy_weight(local, entropy))
    long, short = (float(torch.cat([g.flatten() for g in gs]).double().norm()) for gs in (entropy, local))
    assert 0 < weight <= 1
    assert weight * long <= short * (1 + 1e-5)
    assert weight == pytest.approx(min(long, short) / long, rel=1e-5)


def test_the_weight_is_one_where_the_entropy_gradient_is_shorter_or_zero() -> None:
    long, short, zero = [torch.ones(4)], [torch.full((4,), 0.5)], [torch.zeros(4)]
    assert entropy_weight(long, short) == entropy_weight(long, zero) == entropy_weight(zero, zero) == 1
    assert entropy_weight(zero, long) == 0


def generator_gradient(entropy: float, statistics_scale: float) -> tuple[Tensor, float]:
    """What a first step gives G's weights with lambda_entropy, all in one vector, and the weight of Eq. 8."""
    learner = generator(replace(TINY, lambda_entropy=entropy))
    with torch.no_grad():
        learner.statistics.out.weight.mul_(statistics_scale)
    logs = learner.step(0, pictures(8))
    parts = [p.grad.flatten() for p in learner.generator.parameters() if p.grad is not None]
    return torch.cat(parts).double(), float(logs["lambda"])


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_in_a_step_the_clipped_entropy_gradient_keeps_its_direction_and_is_no_longer_than_the_local_one(scale) -> None:
    local, weight = generator_gradient(0.0, scale)
    entropy = generator_gradient(1.0, scale)[0] - local
    twice = generator_gradient(2.0, scale)[0] - local
    assert (weight < 1) == (scale > 1)
    assert entropy.norm() <= local.norm() * (1 + 1e-4)
    if weight < 1:
        assert float(entropy.norm()) == pytest.approx(float(local.norm()), rel=1e-4)
        assert torch.nn.functional.cosine_similarity(entropy, twice, 0) > 0.9999


# --- Eq. 1: mutual information


def correlated(rho: float, count: int = 200_000) -> tuple[Tensor, Tensor]:
    """The best T, log p(x, y) / p(x) p(y), on pairs of Gaussians of correlation rho and on independent pairs."""
    x, y, other = torch.randn(3, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = rho * x + math.sqrt(1 - rho**2) * y

    def best(a: Tensor, b: Tensor) -> Tensor:
        return (rho * a * b - rho**2 * (a**2 + b**2) / 2) / (1 - rho**2) - math.log(1 - rho**2) / 2

    return best(x, y), best(x, other)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_dv_reaches_the_information_of_correlated_gaussians(rho) -> None:
    joint, marginal = correlated(rho)
    truth = -0.5 * math.log(1 - rho**2)
    assert float(mutual_information(joint, marginal, "dv")) == pytest.approx(truth, abs=0.01)
    assert float(mutual_information(joint + 3, marginal + 3, "dv")) == pytest.approx(truth, abs=0.01)
    assert float(mutual_information(joint / 2, marginal / 2, "dv")) <= truth + 0.01


def test_jsd_is_never_above_0_and_grows_with_dependence() -> None:
    found = [float(mutual_information(*correlated(rho), "jsd")) for rho in (0.0, 0.3, 0.6, 0.9)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(-2 * math.log(2))
    assert found[-1] <= 0
    assert float(mutual_information(torch.full((4,), 1e3), torch.full((4,), -1e3), "jsd")) <= 0


def test_dv_survives_huge_statistics() -> None:
    assert math.isfinite(mutual_information(torch.full((4,), 1e4), torch.full((4,), 2e4), "dv"))


@pytest.mark.parametrize("batch", [2, 3, 8, 32])
def test_no_image_is_paired_with_its_own_noise(batch) -> None:
    for offset in range(1, batch):
        order = derangement(torch.tensor([offset]), batch)
        assert sorted(order.tolist()) == list(range(batch))
        assert (order != torch.arange(batch)).all()


# --- Eq. 3: the contrast


def test_eq_3_is_what_numpy_says() -> None:
    normal, fake, displaced = torch.randn(3, 6, 1, 5, 5, generator=torch.Generator().manual_seed(0)).mul(3)

    def log_odd(logits: Tensor, odd: bool) -> float:
        p = 1 / (1 + np.exp(-logits.double().numpy()))
        return float(np.mean([np.mean(-np.log(image if odd else 1 - image)) for image in p]))

    expected = log_odd(normal, False) + 0.6 * log_odd(fake, True) + 0.4 * log_odd(displaced, True)
    assert float(contrast_loss(normal, fake, displaced, 0.6, 0.4)) == pytest.approx(expected, rel=1e-5)


def test_without_lambda_position_random_coordinates_do_not_matter() -> None:
    config = replace(TINY, lambda_position=0.0, dropout=0.0)
    uniform, grid = detector(config), detector(replace(config, position="grid"))
    assert train(uniform, pictures(20)) == train(grid, pictures(20))
    assert same(uniform, grid)


def test_a_detector_without_its_bank_is_refused() -> None:
    learner = DetectorLearner(TINY, 4, (pictures(8), pictures(8)), {}, 0, Parallel(), 1)
    with pytest.raises(ValueError, match="D_4 needs the bank of fakes of level 2"):
        learner.step(0, pictures(8))


def test_no_detector_trains_on_the_fakes_it_is_judged_by() -> None:
    learner = detector()
    bank = pictures(16, seed=2)
    assert torch.equal(torch.cat([learner.bank, learner.held_out[2]]), bank)
    assert len(learner.held_out[2]) == 8


@pytest.mark.parametrize(("level", "own"), [(1, 0), (2, 1), (4, 2), (8, 4), (16, 8)])
def test_proxies_name_own_and_other_fakes_and_displaced_normals(level, own) -> None:
    found = detector(level=level).contrast()
    assert all(set(parts) == {f"level_{level}"} for parts in found.values())
    scores = {split: parts[f"level_{level}"] for split, parts in found.items()}
    others = {f"other/P_{k}" for k in (0, 1, 2, 4, 8) if k != own}
    assert scores.keys() == {f"own/P_{own}", "position/random"} | others
    assert len(scores["position/random"]) == 5  # the validation images
    assert all(((values >= 0) & (values <= 1)).all() for values in scores.values())


# --- scores


@pytest.fixture(scope="module")
def trained() -> DetectorLearner:
    learner = detector(replace(TINY, noise=0.1, dropout=0.5))
    train(learner, pictures(20))
    return learner


def test_a_score_does_not_depend_on_the_other_images_of_its_batch(trained) -> None:
    images = pictures(70, seed=5)  # more than one chunk
    whole, order = trained.image_scores(images), torch.randperm(70, generator=torch.Generator().manual_seed(0))
    assert whole.dtype == np.float32
    alone = np.concatenate([trained.image_scores(image[None]) for image in images[:10]])
    np.testing.assert_allclose(alone, whole[:10], atol=1e-6)
    np.testing.assert_allclose(trained.image_scores(images[order]), whole[order], atol=1e-6)
    np.testing.assert_allclose(trained.image_scores(images[3:20]), whole[3:20], atol=1e-6)


def test_scores_know_neither_noise_nor_dropout(trained) -> None:
    images = pictures(6, seed=5)
    assert np.array_equal(trained.image_scores(images), trained.image_scores(images))
    with torch.no_grad():
        by_hand = trained.net(to_signed(images), trained.place).sigmoid().mean((1, 2, 3))
    np.testing.assert_allclose(trained.image_scores(images), by_hand, atol=1e-6)


def test_a_grey_image_scores_as_its_rgb_copy(trained) -> None:
    grey = pictures(4, channels=1)
    assert np.array_equal(trained.image_scores(grey), trained.image_scores(grey.expand(-1, 3, -1, -1)))


def test_scores_are_means_over_positions_then_levels(trained) -> None:
    images = pictures(3, seed=5)
    maps = {f"level_{k}": detector(level=k).window_scores(images) for k in (1, 16)}
    parts = {name: m.mean((1, 2)).numpy() for name, m in maps.items()}
    combined = MLSAD(TINY).combine(parts)
    assert combined.dtype == np.float32
    np.testing.assert_allclose(combined, (parts["level_1"] + parts["level_16"]) / 2, atol=1e-6)
    all_cells = torch.cat([m.flatten(1) for m in maps.values()], 1).mean(1).numpy()  # 256 cells outvote one
    assert np.abs(combined - all_cells).min() > 1e-3


# --- training


@pytest.mark.parametrize("make", [detector, generator])
def test_a_resumed_run_equals_an_uninterrupted_one(make: Callable[[], Learner], tmp_path: Path) -> None:
    whole, begun, resumed = make(), make(), make()
    logs = train(whole, pictures(20))
    train(begun, pictures(20), last=3)
    checkpoint.save_state(tmp_path / "at_3", begun.state())
    resumed.load_state(checkpoint.load_state(tmp_path / "at_3"))
    assert train(resumed, pictures(20), first=3) == logs[3:]
    assert same(resumed, whole)
    if isinstance(whole, GeneratorLearner):
        assert torch.equal(resumed.artifact()["fakes"], whole.artifact()["fakes"])


@pytest.mark.parametrize("make", [detector, generator])
def test_a_seed_fixes_every_number_whatever_torchs_own_state(make: Callable[..., Learner]) -> None:
    torch.manual_seed(1)
    one = make()
    logs = train(one, pictures(20))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = make()
    assert train(two, pictures(20)) == logs
    assert same(one, two)
    assert torch.equal(torch.get_rng_state(), before)
    assert train(make(seed=8), pictures(20)) != logs


@pytest.mark.parametrize("make", [detector, generator])
def test_every_step_draws_anew(make: Callable[..., Learner]) -> None:
    still = replace(TINY, detector_lr=1e-30, generator_lr=1e-30, discriminator_lr=1e-30, statistics_lr=1e-30)
    images = pictures(8)
    one, two = (make(still).step(step, images) for step in (0, 1))
    key = "loss" if "loss" in one else "information"
    assert one[key] != two[key]


@pytest.mark.parametrize("estimator", ["jsd", "dv"])
@pytest.mark.parametrize("target", ["parameters", "output"])
def test_a_step_trains_all_three_networks_and_stays_finite(estimator, target) -> None:
    learner = generator(replace(TINY, mutual_information=estimator, clip_wrt=target))
    before = tensors(learner.state()["nets"])
    logs = train(learner, pictures(20), last=3)
    after = tensors(learner.state()["nets"])
    assert all(math.isfinite(value) for log in logs for value in log.values())
    assert all(0 < log["lambda"] <= 1 for log in logs)
    assert all(value.isfinite().all() for value in after.values())
    for net in learner.state()["nets"]:
        assert any(not torch.equal(before[k], after[k]) for k in after if k.startswith(f"/{net}/")), net


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_every_choice_of_norms_trains_resumes_and_leaves_a_bank(spectral, batch, tmp_path) -> None:
    config = replace(TINY, generator_spectral_norm=spectral, generator_batch_norm=batch)
    whole, begun, resumed = (generator(config) for _ in range(3))
    logs = train(whole, pictures(20))
    assert all(math.isfinite(value) for log in logs for value in log.values())
    train(begun, pictures(20), last=3)
    checkpoint.save_state(tmp_path / "at_3", begun.state())
    resumed.load_state(checkpoint.load_state(tmp_path / "at_3"))
    assert train(resumed, pictures(20), first=3) == logs[3:]
    assert len(whole.artifact()["fakes"].unique(dim=0)) == 16


def test_without_entropy_the_generator_does_not_care_for_the_estimator() -> None:
    runs = [generator(replace(TINY, lambda_entropy=0.0, mutual_information=form)) for form in ("jsd", "dv")]
    for learner in runs:
        train(learner, pictures(20))
    one, two = (learner.generator.state_dict() for learner in runs)
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_the_generator_that_makes_the_bank_is_the_moving_average_of_the_trained_one() -> None:
    learner = generator(replace(TINY, generator_ema=0.9), steps=4)
    expected = {name: value.clone() for name, value in learner.average.named_parameters()}
    for step in range(4):
        train(learner, pictures(20), step, step + 1)
        decay = min(0.9, (1 + step) / (10 + step))  # a short run is not held at its random start
        for name, latest in learner.generator.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * latest.detach()
    for name, mean in learner.average.named_parameters():
        torch.testing.assert_close(mean, expected[name])


def test_without_a_moving_average_the_latest_generator_makes_the_bank() -> None:
    learner = generator(replace(TINY, generator_ema=0.0), steps=3)
    train(learner, pictures(20))
    for mean, latest in zip(learner.average.parameters(), learner.generator.parameters(), strict=True):
        torch.testing.assert_close(mean, latest)


def test_input_noise_is_a_variance() -> None:
    learner = detector(replace(TINY, noise=0.25))
    seen: list[Tensor] = []
    learner.net.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    rows = pictures(8)
    learner.step(0, rows)
    added = seen[0] - learner.drawn(0, rows).images
    assert added.std().item() == pytest.approx(0.5, rel=0.05)


def test_levels_that_take_no_part_are_said() -> None:
    assert MLSAD(replace(TINY, levels=(1, 2))).remarks() == ["not all levels: without D_4, D_8, D_16"]
    assert MLSAD(TINY).remarks() == []


def test_a_bank_has_the_asked_number_of_byte_images() -> None:
    fakes = generator(replace(TINY, bank_size=300)).artifact()["fakes"]
    assert (fakes.shape, fakes.dtype) == ((300, 3, 16, 16), torch.uint8)
    assert len(fakes.unique(dim=0)) == 300


def test_a_generator_batch_that_deviation_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="generator_batch_size 6"):
        generator(replace(TINY, generator_batch_size=6))


@pytest.mark.parametrize("steps", [10, 250])
def test_learning_rates_fall_at_the_same_fractions_of_any_schedule(steps) -> None:
    config = replace(TINY, detector_lr=1.0, detector_lr_decay=0.5, detector_milestones=(0.4, 0.8))
    learner = detector(config, level=1, steps=steps)
    rates = [learner.learning_rate(step) for step in range(steps)]
    assert rates == [1.0] * (4 * steps // 10) + [0.5] * (4 * steps // 10) + [0.25] * (2 * steps // 10)
    learner.step(steps - 1, pictures(8))
    assert learner.optimiser.param_groups[0]["lr"] == 0.25


# --- the method


def test_tuning_neither_makes_other_fakes_nor_writes_into_a_bank() -> None:
    points = [TINY, replace(TINY, **{key: values[-1] for key, values in PUBLISHED_GRID.items()})]
    banks = []
    for config in points:
        learner = generator(config, steps=2)
        train(learner, pictures(20))
        banks.append(learner.artifact()["fakes"])
    assert torch.equal(*banks)
    kept = banks[0].clone()
    for config in points:
        detectors = DetectorLearner(config, 4, (pictures(20), pictures(5)), {2: banks[0]}, 7, Parallel(), 2)
        train(detectors, pictures(20))
        detectors.contrast()
    assert torch.equal(banks[0], kept)
