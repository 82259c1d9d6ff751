"""Fakes of levels 0 and 1 have the structure they should have and no other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor

from workloads.data.conform import as_channels
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.mrf import level_0, level_1, to_bytes, to_signed
from workloads.training.distributed import Draws, Parallel


def draws(seed: int = 0) -> Draws:
    return Draws(seed, torch.device("cpu"), Parallel())


def smooth(count: int, side: int = 16) -> Tensor:
    """Images whose neighbouring pixels are alike: a coloured ramp of random slope and offset each."""
    generator = torch.Generator().manual_seed(5)
    slope, offset = torch.rand(2, count, 3, 1, 1, generator=generator)
    ramp = torch.linspace(0, 1, side)[None, None, None, :] * slope + offset
    return (ramp.expand(-1, -1, side, -1) * 127).to(torch.uint8)


def neighbours_correlation(images: Tensor) -> float:
    """Over images and rows, between a pixel and its right neighbour, each pixel's mean over images taken off."""
    x = images.double() - images.double().mean(0)
    return float(np.corrcoef(x[..., :-1].flatten(), x[..., 1:].flatten())[0, 1])


def triples(images: Tensor) -> Tensor:
    """(S, S, N) one number for the RGB triple of each pixel of each image."""
    r, g, b = images.permute(1, 2, 3, 0).long()
    return r * 65536 + g * 256 + b


def test_level_0_is_uniform_on_the_whole_byte_range() -> None:
    fakes = level_0(draws(), (64, 3, 16, 16))
    assert fakes.dtype == torch.uint8
    assert (int(fakes.min()), int(fakes.max())) == (0, 255)
    spread = fakes.flatten().double() + torch.rand(fakes.numel(), generator=torch.Generator().manual_seed(1))
    assert kstest(spread / 256, "uniform").pvalue > 0.01
    assert abs(neighbours_correlation(fakes)) < 0.02


def test_level_1_over_as_many_images_as_the_pool_permutes_every_pixel() -> None:
    pool = smooth(200)
    fakes = level_1(draws(), pool, 200)
    assert torch.equal(triples(fakes).sort(-1).values, triples(pool).sort(-1).values)  # colours stay whole
    assert neighbours_correlation(pool) > 0.9
    assert abs(neighbours_correlation(fakes)) < 0.03


@pytest.mark.parametrize("count", [7, 300])
def test_level_1_with_replacement_takes_each_pixel_from_that_place_in_the_pool(count) -> None:
    pool = smooth(50)
    found, there = triples(level_1(draws(), pool, count)), triples(pool)
    assert found.shape == (16, 16, count)
    assert (found[..., :, None] == there[..., None, :]).any(-1).all()


def test_level_1_uses_the_whole_pool() -> None:
    found, pool = triples(level_1(draws(), smooth(20), 400)), triples(smooth(20))
    assert all(set(a.tolist()) == set(b.tolist()) for a, b in zip(found.flatten(0, 1), pool.flatten(0, 1), strict=True))


@pytest.mark.parametrize("pool", ["batch", "dataset"])
def test_a_detectors_level_1_fakes_come_from_the_batch_or_all_training_images(pool) -> None:
    train, config = smooth(200), MLSADConfig(width=0.0625, batch_size=8, shuffle_pool=pool)
    batch = train[:8]
    it = DetectorLearner(config, 2, (train, train[:4]), {}, seed=0, parallel=Parallel(), steps=1)
    found, own = triples(it.fakes(draws(), batch)), triples(batch)
    assert torch.equal(found.sort(-1).values, own.sort(-1).values) == (pool == "batch")
    assert (found[..., :, None] == triples(train)[..., None, :]).any(-1).all()


def test_a_detectors_level_0_fakes_are_uniform_in_every_channel_on_its_own() -> None:
    config = MLSADConfig(width=0.0625, batch_size=128)
    it = DetectorLearner(config, 1, (smooth(8), smooth(8)), {}, seed=0, parallel=Parallel(), steps=1)
    channels = it.fakes(draws(), smooth(128)).double().transpose(0, 1).flatten(1)
    jitter = torch.rand(channels.shape, generator=torch.Generator().manual_seed(1))
    assert all(kstest(values, "uniform").pvalue > 0.01 for values in (channels + jitter) / 256)
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 0.02


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=50))
@settings(deadline=None, max_examples=50)
def test_bytes_are_clamped_never_wrapped(values) -> None:
    found = to_bytes(torch.tensor(values)).long().numpy()
    clipped = np.clip(np.array(values, np.float32), -1, 1)
    assert np.abs(found - (clipped + 1) * 127.5).max() <= 0.501


def test_every_byte_survives_the_round_trip() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_signed(every)), every)
    assert (float(to_signed(every).min()), float(to_signed(every).max())) == (-1, 1)


@pytest.fixture(params=[1, 4, 16])
def learner(request: pytest.FixtureRequest) -> DetectorLearner:
    pool, config = smooth(8), MLSADConfig(width=0.0625)
    banks = dict.fromkeys((2, 4, 8), pool)
    return DetectorLearner(config, request.param, (pool, pool), banks, seed=0, parallel=Parallel(), steps=10)


@pytest.mark.parametrize("position", ["uniform", "in_range"])
def test_displaced_coordinates_are_uniform_and_independent_per_cell_and_axis(learner, position) -> None:
    learner.config = replace(learner.config, position=position)
    side, reach = 16 - learner.level + 1, float(learner.place.max()) if position == "in_range" else 1.0
    place = learner.displaced(draws(), 2000 // side)
    assert place.shape == (2000 // side, 2, side, side)
    assert place.abs().max() <= reach
    if not reach:  # a window of the whole image has one place
        return
    assert kstest(place.flatten().double() / reach / 2 + 0.5, "uniform").pvalue > 0.01
    rows, columns = place.double().unbind(1)
    assert abs(np.corrcoef(rows.flatten(), columns.flatten())[0, 1]) < 0.1


@pytest.mark.parametrize(("level", "side", "share"), [(2, 32, 0.06), (4, 32, 0.18), (16, 32, 0.73), (8, 16, 0.72)])
def test_of_coordinates_from_all_of_the_square_a_share_is_where_no_window_is_and_of_those_in_range_none(
    level, side, share
) -> None:
    images = torch.zeros(4, 3, side, side, dtype=torch.uint8)

    def outside(position: str) -> float:
        config = MLSADConfig(width=0.0625, position=position)
        learner = DetectorLearner(config, level, (images, images), {}, seed=0, parallel=Parallel(), steps=1)
        place = learner.displaced(draws(), 400)
        return float((place.abs() > learner.place.max() + 1e-6).any(1).double().mean())

    assert outside("uniform") == pytest.approx(share, abs=0.01)
    assert outside("in_range") == 0


def test_displaced_coordinates_may_be_kept_to_the_grids_own_values(learner) -> None:
    learner.config = replace(learner.config, position="grid")
    own = set(learner.place.flatten().tolist())
    assert set(learner.displaced(draws(), 200).flatten().tolist()) == own


def test_grey_becomes_rgb_by_repetition_and_rgb_its_luminance() -> None:
    grey = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    rgb = as_channels(grey, 3)
    assert rgb.shape == (2, 3, 4, 4)
    assert all(torch.equal(rgb[:, i], grey[:, 0]) for i in range(3))
    assert torch.equal(as_channels(rgb, 1), grey)
    green = torch.tensor([0, 255, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert as_channels(green, 1).item() == 150
