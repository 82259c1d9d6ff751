"""Window scores in place, in tiles and in one number: pixel maps, large images, pooling."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workloads.mlsad import scorer as scoring
from workloads.mlsad.analyses.localisation import pixel_map
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.method import MLSAD
from workloads.mlsad.pooling import pooled
from workloads.mlsad.scorer import LevelScorer, at_pixels
from workloads.units import ImageShape

LEVELS = (1, 2, 4, 8, 16)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


# --- pixel maps


def impulse(level: int, cell: tuple[int, int], side: int = 32) -> Tensor:
    scores = torch.zeros(1, side - level + 1, side - level + 1)
    scores[0, cell[0], cell[1]] = 1
    return scores


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cell", [(1, 1), (7, 3), (5, 15), (15, 14)])
def test_an_impulse_lands_on_the_centre_of_its_window(level, cell) -> None:
    (found,) = pixel_map({level: impulse(level, cell)}, 32)
    grid = torch.arange(32)
    for axis in (0, 1):  # bilinear shares keep the centre of mass at the very centre of the window
        share = found.sum(1 - axis)
        assert float((share * grid).sum() / share.sum()) == pytest.approx(cell[axis] + (level - 1) / 2, abs=1e-4)
    peaks = (found == found.max()).nonzero()
    centre = torch.tensor(cell) + (level - 1) / 2
    assert (peaks - centre).abs().max() <= 0.5


@pytest.mark.parametrize("level", LEVELS)
def test_pixels_beyond_the_outermost_windows_take_the_nearest_score(level) -> None:
    scores = torch.rand(2, 33 - level, 33 - level)
    found = at_pixels(scores, level, 32)
    margin = (level - 1) // 2
    for corner, cell in (((0, 0), (0, 0)), ((31, 31), (-1, -1)), ((margin, 31 - margin), (0, -1))):
        torch.testing.assert_close(found[:, corner[0], corner[1]], scores[:, cell[0], cell[1]])


def test_a_level_of_one_window_fills_the_image() -> None:
    assert (pixel_map({16: torch.full((3, 1, 1), 0.25)}, 16) == 0.25).all()


def test_levels_count_alike_and_maps_stay_in_range() -> None:
    maps = {k: torch.rand(2, 33 - k, 33 - k) for k in LEVELS}
    found = pixel_map(maps, 32)
    assert (found.shape, found.dtype) == ((2, 32, 32), torch.float32)
    assert found.min() >= 0
    assert found.max() <= 1
    by_hand = torch.stack([at_pixels(m, k, 32) for k, m in maps.items()]).mean(0)
    torch.testing.assert_close(found, by_hand)
    assert (pixel_map({k: torch.ones_like(m) for k, m in maps.items()}, 32) == 1).all()
    with pytest.raises(ValueError, match="one level or more"):
        pixel_map({}, 32)


# --- tiles


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cells", [25, 100, 400])
def test_tiles_give_the_scores_of_the_whole(level, cells, monkeypatch) -> None:
    one = LevelScorer(MLSADConfig(width=0.0625), level, ImageShape(3, 24, 24), CPU)
    images = torch.randint(256, (3, 3, 24, 24), dtype=torch.uint8)
    place = torch.rand(3, 2, 25 - level, 25 - level) * 2 - 1
    whole, score, elsewhere = one.window_scores(images), one.image_scores(images), one.window_scores(images, place)
    monkeypatch.setattr(scoring, "CELLS", cells)
    passes: list[torch.Size] = []
    handle = one.net.register_forward_hook(lambda net, inputs, output: passes.append(output.shape))
    tiled = one.window_scores(images)
    handle.remove()
    assert all(n * h * w <= cells for n, _, h, w in passes)
    assert len(passes) > 1 or (level, cells) == (16, 400)  # 81 windows an image
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(one.window_scores(images, place), elsewhere, rtol=0, atol=1e-6)
    np.testing.assert_allclose(one.image_scores(images), score, atol=1e-6)


def test_images_of_the_papers_side_are_scored_in_one_pass_a_chunk() -> None:
    assert scoring.CELLS >= scoring.BATCH * 32**2


# --- pooling


def test_pooling_is_what_numpy_says() -> None:
    maps = torch.rand(4, 5, 5)
    p = maps.double().numpy().reshape(4, -1)
    expected = {
        "mean": p.mean(1),
        "max": p.max(1),
        "softmax": (p * np.exp(p)).sum(1) / np.exp(p).sum(1),
        "linear_softmax": (p**2).sum(1) / p.sum(1),
    }
    for how, by_hand in expected.items():
        np.testing.assert_allclose(pooled(maps, how), by_hand, rtol=1e-5, err_msg=how)


def test_a_peak_is_many_odd_windows_beside_each_other_not_a_single_one() -> None:
    maps = torch.zeros(2, 49, 49)
    maps[0, 10, 10] = 1
    maps[1, 10:30, 10:30] = 0.5
    single, many = pooled(maps, "peak").tolist()
    assert single == pytest.approx(1 / (2 * np.pi * 16), rel=0.02)
    assert many == pytest.approx(0.5, rel=0.03)


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
@settings(deadline=None, max_examples=100)
def test_poolings_lie_between_mean_and_maximum_and_survive_zero(values) -> None:
    maps = torch.tensor(values).view(1, 2, 2)
    found = [float(pooled(maps, how)) for how in ("mean", "softmax", "linear_softmax", "max")]
    assert all(np.isfinite(found))
    assert found[0] <= found[1] + 1e-6
    assert max(found) == pytest.approx(found[3], abs=1e-6)
    # p^2 of the smallest floats is 0: their own size is all that can be lost
    assert all(a <= b + 1e-6 for a, b in pairwise(found))


def test_a_flat_map_pools_to_its_value() -> None:
    for value in (0.0, 1e-30, 0.3, 1.0):
        for how in ("mean", "max", "peak", "softmax", "linear_softmax"):
            assert float(pooled(torch.full((1, 3, 3), value), how)) == pytest.approx(value, abs=1e-6)


def test_half_precision_maps_are_pooled_in_single() -> None:
    assert pooled(torch.full((1, 300, 300), 0.5).half(), "linear_softmax").dtype == torch.float32
    assert float(pooled(torch.full((1, 300, 300), 0.5).half(), "softmax")) == pytest.approx(0.5)


def test_positions_are_averaged_before_levels() -> None:
    maps = {"level_1": torch.full((1, 4, 4), 0.2), "level_4": torch.full((1, 1, 1), 0.8)}
    combined = MLSAD(MLSADConfig()).combine({k: pooled(m, "mean").numpy() for k, m in maps.items()})
    assert combined[0] == pytest.approx(0.5)
    all_cells = torch.cat([m.flatten() for m in maps.values()]).mean()
    assert float(all_cells) == pytest.approx((16 * 0.2 + 0.8) / 17)  # sixteen cells outvote one


def test_the_config_chooses_the_pooling_of_scores() -> None:
    images, found = torch.randint(256, (3, 3, 16, 16), dtype=torch.uint8), {}
    for how in ("mean", "max", "peak", "softmax", "linear_softmax"):
        torch.manual_seed(1)
        one = LevelScorer(MLSADConfig(width=0.0625, pooling=how), 2, ImageShape(3, 16, 16), CPU)
        found[how] = one.image_scores(images)
        np.testing.assert_allclose(found[how], pooled(one.window_scores(images), how))
    assert all((found["mean"] < found[how]).all() for how in ("max", "peak", "softmax", "linear_softmax"))
    assert (found["peak"] < found["max"]).all()
