"""The robustness probe: its objective against its formulas, its descent against its promises, its numbers by hand."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workloads.data.view import TargetView
from workloads.figures import GAP
from workloads.keys import config_problems
from workloads.learner import Finding, Fitted
from workloads.mlsad.analyses.descent import descend_pixels, detector_score, pull_away
from workloads.mlsad.analyses.fooling import fooling, starts, variants, whole_score
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.method import MLSAD
from workloads.mlsad.mrf import to_bytes, to_signed
from workloads.units import ImageShape

TINY = MLSADConfig(width=0.0625, levels=(1, 4, 16), fooling_steps=6, fooling_lr=0.1)
SETS = ("noise", "shuffled", "anomalous", "grey")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def pictures(count: int, seed: int = 1, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, 16, 16), generator=generator, dtype=torch.uint8)


def trained(config: MLSADConfig = TINY, channels: int = 1, odd: int = 20) -> tuple[TargetView, Fitted]:
    """Untrained networks with weights large enough to tell images apart; every second test image is normal at first."""
    method, states = MLSAD(config), {}
    for unit in method.units(["a"]):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(method.seed(unit) % 2**31)
            scorer = method.scorer(unit, ImageShape(channels, 16, 16), {}, torch.device("cpu"))
        states[str(unit)] = {"net": {k: 2 * v.detach().clone() for k, v in scorer.net.state_dict().items()}}
    anomalous = np.array([i % 2 == 1 for i in range(2 * odd)] + [False] * 5)
    test = pictures(len(anomalous), seed=3, channels=channels)
    train, val = pictures(24, 1, channels), pictures(4, 2, channels)
    return TargetView("a", train, val, test, anomalous=anomalous), Fitted({}, states)


@pytest.fixture(scope="module")
def finding() -> Finding:
    torch.set_num_threads(1)
    return fooling(TINY, *trained(), seed=0)


# --- the objective


def test_pt_is_0_for_orthogonal_and_1_for_identical_images() -> None:
    waves = torch.stack([torch.cos(math.pi * k * (torch.arange(16) + 0.5) / 16) for k in (1, 2, 3, 4)])
    orthogonal = (0.4 * waves + 0.3)[:, None, None, :].expand(-1, 3, 16, -1)  # a common brightness must not count
    assert float(pull_away(orthogonal)) == pytest.approx(0, abs=1e-6)
    one = to_signed(pictures(1)).expand(5, -1, -1, -1)
    assert float(pull_away(one)) == pytest.approx(1, abs=1e-5)
    assert float(pull_away(torch.cat([one, -one]))) == pytest.approx(1, abs=1e-5)  # squared: opposites are alike too
    assert float(pull_away(one[:1])) == 0


@given(st.integers(2, 6), st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_pt_is_the_mean_over_ordered_pairs(n, seed) -> None:
    x = torch.randn(n, 2, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    flat = [image.flatten().numpy() - image.mean().item() for image in x]
    squares = [(a @ b) ** 2 / (a @ a) / (b @ b) for i, a in enumerate(flat) for j, b in enumerate(flat) if i != j]
    assert len(squares) == n * (n - 1)
    assert float(pull_away(x)) == pytest.approx(np.mean(squares), rel=1e-9)


def test_images_without_contrast_leave_objective_and_gradient_finite() -> None:
    x = torch.cat([torch.ones(2, 1, 16, 16), to_signed(pictures(2))]).requires_grad_()
    value = pull_away(x)
    (gradient,) = torch.autograd.grad(value, x)
    assert 0 <= value.item() <= 1
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 10


@pytest.mark.parametrize(("channels", "as_rgb"), [(1, True), (1, False), (3, True)])
def test_the_differentiable_score_is_the_score_of_test_images(channels, as_rgb) -> None:
    config, images = replace(TINY, grey_as_rgb=as_rgb), pictures(70, 4, channels)
    for scorers in variants(config, *trained(config, channels)).values():
        with torch.no_grad():
            found = detector_score(list(scorers.values()), to_signed(images)).numpy()
        np.testing.assert_allclose(found, whole_score(scorers, images), atol=1e-6)
        assert np.ptp(found) > 1e-3
    assert np.array_equal(scorers["level_16"].image_scores(images), whole_score(scorers, images))


def test_the_gradient_of_the_score_is_the_numerical_one() -> None:
    scorers = list(variants(TINY, *trained())["full"].values())
    for scorer in scorers:
        scorer.net.double()
        scorer.place = scorer.place.double()
    x = to_signed(pictures(2)).double().requires_grad_()
    (gradient,) = torch.autograd.grad(detector_score(scorers, x).sum(), x)
    for place in ((0, 0, 0, 0), (0, 0, 7, 9), (1, 0, 15, 3)):
        shift = torch.zeros_like(x)
        shift[place] = 1e-6
        with torch.no_grad():
            sides = [float(detector_score(scorers, x + sign * shift).sum()) for sign in (1, -1)]
        assert float(gradient[place]) == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-4, abs=1e-9)


# --- the descent


def test_descent_keeps_the_range_and_lowers_the_objective() -> None:
    score = partial(detector_score, list(variants(TINY, *trained())["full"].values()))
    white = 255 - pictures(4) // 32  # starts at the end of the range
    descent = descend_pixels(score, [pictures(16), white], steps=32, lr=0.05, weight=0.1)
    assert [part.shape for part in descent.ends] == [(16, 1, 16, 16), (4, 1, 16, 16)]
    assert all(part.abs().max() <= 1 for part in descent.ends)
    assert descent.objectives.shape == descent.scores.shape == (33, 2)
    quarters = descent.objectives[:32].view(4, 8, 2).mean(1)
    assert (quarters.diff(dim=0) <= 0).all()
    assert (descent.objectives[-1] < descent.objectives[0]).all()


def test_pixels_that_want_out_of_the_range_stay_at_its_end() -> None:
    (found,) = descend_pixels(lambda x: x.mean((1, 2, 3)), [pictures(3)], steps=30, lr=0.5, weight=0.0).ends
    assert torch.equal(found, torch.full_like(found, -1))


def test_batches_share_networks_and_nothing_else() -> None:
    score = partial(detector_score, list(variants(TINY, *trained())["full"].values()))
    one, two = pictures(8), pictures(5, seed=9)
    both = descend_pixels(score, [one, two], steps=5, lr=0.05, weight=0.1)
    for i, part in enumerate((one, two)):
        alone = descend_pixels(score, [part], steps=5, lr=0.05, weight=0.1)
        torch.testing.assert_close(both.ends[i], alone.ends[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(both.objectives[:, i], alone.objectives[:, 0])


def test_large_images_are_descended_a_few_at_a_time_to_the_same_end(monkeypatch) -> None:
    score = partial(detector_score, list(variants(TINY, *trained())["full"].values()))
    whole, seen = descend_pixels(score, [pictures(5), pictures(2, seed=9)], steps=3, lr=0.05, weight=0.1), []
    monkeypatch.setattr("workloads.mlsad.analyses.descent.AT_ONCE", 2)

    def watched(x: Tensor) -> Tensor:
        seen.append(len(x))
        return score(x)

    parts = descend_pixels(watched, [pictures(5), pictures(2, seed=9)], steps=3, lr=0.05, weight=0.1)
    assert set(seen) == {1, 2}
    torch.testing.assert_close(torch.cat(parts.ends), torch.cat(whole.ends), atol=1e-4, rtol=0)
    torch.testing.assert_close(parts.objectives, whole.objectives)


def test_pull_away_makes_found_images_differ_more() -> None:
    score = partial(detector_score, list(variants(TINY, *trained())["full"].values()))
    near = pictures(1).float() + 20 * torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    start = near.clamp(0, 255).to(torch.uint8)
    found = [descend_pixels(score, [start], steps=20, lr=0.1, weight=w).ends[0] for w in (0.0, 1.0)]
    assert float(pull_away(found[1])) < 0.5 * float(pull_away(found[0]))


# --- where it starts


def test_anomalous_starts_are_distinct_anomalies_and_never_normal() -> None:
    data, _ = trained()
    for seed in range(5):
        found = starts(data, seed)["anomalous"]
        rows = [[i for i, image in enumerate(data.test) if torch.equal(image, one)] for one in found]
        assert all(len(row) == 1 and data.anomalous[row[0]] for row in rows)
        assert len({row[0] for row in rows}) == 16
    assert len(starts(trained(odd=3)[0], 0)["anomalous"]) == 3


def test_starting_sets_are_what_they_are_called() -> None:
    data, _ = trained()
    sets = starts(data, 0)
    assert tuple(sets) == SETS
    assert all(s.dtype == torch.uint8 and s.shape == (16, 1, 16, 16) for s in sets.values())
    assert (sets["shuffled"][:, None] == data.train[None]).any(1).all()  # every pixel from that place of a normal image
    deviations = sets["grey"].double().std((1, 2, 3))
    assert ((deviations > 0) & (deviations < 10)).all()
    assert sets["grey"].double().mean((1, 2, 3)).diff().min() > 0
    again, other = starts(data, 0), starts(data, 1)
    assert all(torch.equal(sets[name], again[name]) and not torch.equal(sets[name], other[name]) for name in SETS)


# --- what it says


def test_every_variant_and_set_has_its_numbers(finding) -> None:
    kinds = {"fooled", "fooled_start", "score", "score_start", "score_least", "rounding", "nearest_normal"}
    kinds |= {"objective_start", "objective_middle", "objective_end", "diversity"}
    keys = {f"{v}/{s}/{k}" for v in ("full", "level_1", "level_16") for s in SETS for k in kinds}
    keys |= {f"{v}/normal/score" for v in ("full", "level_1", "level_16")}
    keys |= {f"{s}/{k}" for s in ("normal", *(f"start/{s}" for s in SETS)) for k in ("nearest_normal", "diversity")}
    assert finding.numbers.keys() == keys
    assert all(math.isfinite(value) for value in finding.numbers.values())
    assert all(-1 <= value <= 2 for value in finding.numbers.values())


def test_scores_fall_from_start_to_found(finding) -> None:
    n = finding.numbers
    for prefix in (f"{v}/{s}" for v in ("full", "level_1", "level_16") for s in SETS):
        assert n[f"{prefix}/objective_end"] < n[f"{prefix}/objective_start"]
        assert n[f"{prefix}/score"] < n[f"{prefix}/score_start"]
        assert n[f"{prefix}/score_least"] <= n[f"{prefix}/score"] - n[f"{prefix}/rounding"] + 1e-6
        assert abs(n[f"{prefix}/rounding"]) < 0.01


def test_numbers_are_those_of_the_images_that_were_found() -> None:
    (data, fitted), sets = trained(), starts(trained()[0], 0)
    n = fooling(TINY, data, fitted, 0).numbers
    scorers = variants(TINY, data, fitted)["level_1"]
    score = partial(detector_score, list(scorers.values()))
    found = to_bytes(descend_pixels(score, list(sets.values()), 6, 0.1, 0.1).ends[0])
    normal = whole_score(scorers, data.test[torch.from_numpy(~data.anomalous)])
    assert n["level_1/normal/score"] == pytest.approx(np.median(normal))
    scores = whole_score(scorers, found)
    assert n["level_1/noise/fooled"] == np.mean(scores < np.median(normal))
    assert n["level_1/noise/score"] == pytest.approx(scores.mean())
    byte = found.flatten(1).double().numpy() / 255
    gaps = np.sqrt(((byte[:, None] - data.train.flatten(1).numpy()[None] / 255) ** 2).mean(-1))
    assert n["level_1/noise/nearest_normal"] == pytest.approx(gaps.min(1).mean())
    pairs = [np.sqrt(((a - b) ** 2).mean()) for i, a in enumerate(byte) for b in byte[:i]]
    assert n["level_1/noise/diversity"] == pytest.approx(np.mean(pairs))


def test_a_seed_fixes_every_number_and_nothing_trained_is_touched(finding) -> None:
    data, fitted = trained()
    weights = {f"{unit}/{k}": v for unit, state in fitted.states.items() for k, v in state["net"].items()}
    before, images = {k: v.clone() for k, v in weights.items()}, data.test.clone()
    torch.manual_seed(123)
    again = fooling(TINY, data, fitted, seed=0)
    assert again.numbers == finding.numbers
    assert all(np.array_equal(again.pictures[k], finding.pictures[k]) for k in finding.pictures)
    assert fooling(TINY, data, fitted, seed=1).numbers != finding.numbers
    assert all(torch.equal(weights[k], before[k]) and not weights[k].requires_grad for k in weights)
    assert torch.equal(data.test, images)


def test_a_single_level_is_the_full_model_and_few_anomalies_are_enough() -> None:
    config = replace(TINY, levels=(4,), fooling_steps=1)
    found = fooling(config, *trained(config, odd=1), seed=0)
    assert found.pictures.keys() == {"fooling_full"}
    assert found.numbers["start/anomalous/diversity"] is None
    assert found.numbers["full/anomalous/fooled"] in (0, 1)


@pytest.mark.parametrize("anomalous", [True, False])
def test_without_both_kinds_of_test_images_there_is_no_probe(anomalous) -> None:
    data, fitted = trained()
    data = replace(data, anomalous=np.full(len(data.test), anomalous))
    found = fooling(TINY, data, fitted, seed=0)
    assert set(found.numbers.values()) == {None}
    assert not found.pictures


@pytest.mark.parametrize(("key", "bad"), [("fooling_steps", 0), ("fooling_lr", 0.0), ("fooling_pull_away", -0.1)])
def test_settings_that_cannot_work_are_named(key, bad) -> None:
    assert list(config_problems(TINY)) == []
    assert [name for name, _ in config_problems(replace(TINY, **{key: bad}))] == [key]


# --- pictures


def test_there_is_a_picture_a_variant(finding) -> None:
    assert finding.pictures.keys() == {"fooling_full", "fooling_level_1", "fooling_level_16"}
    start = starts(trained()[0], 0)["noise"][0, 0].numpy()
    for picture in finding.pictures.values():
        assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
        assert picture.shape[0] > 8 * 64  # before and after, of four sets
        left = picture.shape[1] - GAP - 2 - 16 * (64 + 2)
        assert np.array_equal(picture[GAP + 2 : GAP + 66 : 4, left + 2 : left + 66 : 4, 1], start)
