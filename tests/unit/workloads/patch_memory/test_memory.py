"""What is learnt of features, how far others are from it, and which patches are kept."""

import numpy as np
import pytest
import torch

from workloads.errors import UserError
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.patch_memory.maps import pixel_scores
from workloads.patch_memory.memory import Moments, coreset, distances, fit, nearest_patches, reweighted, with_usual
from workloads.patch_memory.usual import in_deviations, sums_of, usual_of
from workloads.smoothing import smoothed


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def correlated(count, places=6, dims=5):
    """Features (count, dims, places, places) with a mean and a covariance of their own."""
    mix = torch.eye(dims) + 0.4 * torch.ones(dims, dims).tril(-1)
    return torch.einsum("nchw,dc->ndhw", torch.randn(count, dims, places, places), mix) + 2


def test_the_gaussian_is_the_mahalanobis_distance_by_hand():
    normal, tested = correlated(20), correlated(3)
    config = PatchMemoryConfig(model="gaussian", shrinkage=1e-9)
    found = distances(config, fit(config, normal.split(7), np.arange(20)), tested)
    rows = normal.permute(0, 2, 3, 1).reshape(-1, 5).double()
    inverse = torch.linalg.inv(torch.cov(rows.T, correction=0))
    centred = tested.permute(0, 2, 3, 1).double() - rows.mean(0)
    by_hand = torch.einsum("nhwc,cd,nhwd->nhw", centred, inverse, centred).sqrt()
    torch.testing.assert_close(found.double(), by_hand, rtol=1e-4, atol=1e-4)


def test_images_a_few_at_a_time_give_the_fit_of_all():
    normal, config = correlated(12), PatchMemoryConfig(model="gaussian")
    whole, parts = fit(config, [normal], np.arange(12)), fit(config, normal.split(5), np.arange(12))
    torch.testing.assert_close(parts["whitening"], whole["whitening"])


def test_every_place_has_its_own_gaussian():
    normal = correlated(200, places=2)
    normal[:, :, 1, 1] += 50  # what is usual there
    config = PatchMemoryConfig(model="gaussian_per_place", dims=4)
    state = fit(config, normal.split(64), np.arange(200))
    usual = distances(config, state, normal[:1])
    moved = distances(config, state, normal[:1].flip(2, 3))
    assert (moved[0, 1, 1], moved[0, 0, 0]) > (5 * usual.max(), 5 * usual.max())
    assert usual.max() < 10
    with pytest.raises(UserError, match="one size"):
        distances(config, state, correlated(1, places=3))


@pytest.mark.parametrize("whitened", [True, False])
def test_a_patch_of_the_memory_is_at_distance_nought(whitened):
    normal = correlated(4)
    config = PatchMemoryConfig(model="neighbours", memory=1000, whitened=whitened)
    state = fit(config, [normal], np.arange(4))
    assert len(state["memory"]) == 4 * 36
    assert distances(config, state, normal).max() < 0.05
    assert distances(config, state, normal + 100).min() > 10


@pytest.mark.parametrize("model", ["neighbours", "gaussian"])
def test_what_is_usual_at_a_place_is_no_distance_there(model):
    config, normal = PatchMemoryConfig(model=model, memory=4000), correlated(40)
    normal[:, :, 0, 0] *= 6
    state = fit(config, [normal], np.arange(40))
    fresh = correlated(200)
    fresh[:, :, 0, 0] *= 6
    plain = distances(config, state, fresh).mean(0)
    assert plain[0, 0] > 2 * plain.mean()
    state = with_usual(config, state, normal.split(7), np.arange(40))
    assert distances(config, state, fresh).mean(0).abs().max() < 0.5
    assert distances(config, state, torch.nn.functional.interpolate(fresh, (9, 9))).shape == (200, 9, 9)


def test_a_patch_of_another_image_is_the_neighbour_by_which_what_is_usual_is_measured():
    config, normal = PatchMemoryConfig(memory=4000, whitened=False), correlated(5)
    state = with_usual(config, fit(config, [normal], np.arange(5)), [normal], np.arange(5))
    rows = normal.permute(0, 2, 3, 1)
    by_hand = torch.stack(
        [
            torch.cdist(rows[number].reshape(-1, 5), torch.cat([rows[:number], rows[number + 1 :]]).reshape(-1, 5))
            .amin(1)
            .view(6, 6)
            for number in range(5)
        ]
    )
    torch.testing.assert_close(state["usual"][0], by_hand.mean(0), rtol=1e-3, atol=1e-3)
    variances = by_hand.var(0, correction=0) * 5
    deviation = ((variances + 10 * variances.mean() / 4) / (4 + 10)).sqrt()
    torch.testing.assert_close(state["usual"][1], deviation, rtol=1e-3, atol=1e-3)


def test_what_is_usual_goes_on_from_the_maps_before():
    maps = [3 * torch.rand(4, 5).square() + 1 for _ in range(17)]
    usual, count = usual_of(maps[6:], sums_of(*usual_of(maps[:6])))
    assert count == 17
    torch.testing.assert_close(usual, usual_of(maps)[0])
    assert sums_of(*usual_of([torch.ones(2, 2)] * 3))[2].tolist() == [[0, 0], [0, 0]]


def test_no_place_without_deviation_is_divided_by_nought():
    usual, _ = usual_of([torch.ones(2, 2)] * 3)
    assert torch.equal(in_deviations(torch.full((1, 2, 2), 3.0), usual), torch.full((1, 2, 2), 2.0))


def test_distances_are_the_nearest_ones_in_any_blocks(monkeypatch):
    memory, rows = torch.randn(50, 7), torch.randn(33, 7)
    by_hand = (rows[:, None] - memory).norm(dim=2).sort(1)
    monkeypatch.setattr("workloads.patch_memory.memory.DISTANCES_AT_ONCE", 200)
    blocks = list(nearest_patches(memory, rows, 3))
    assert len(blocks) == 9
    torch.testing.assert_close(torch.cat([values for values, _ in blocks]), by_hand.values[:, :3], rtol=0, atol=1e-4)
    assert torch.equal(torch.cat([ids for _, ids in blocks]), by_hand.indices[:, :3])


def test_a_coreset_covers_what_a_random_choice_leaves_out():
    crowd, rare = torch.randn(2000, 40), torch.randn(5, 40) + 30 * torch.eye(40)[:5]
    rows = torch.cat([crowd, rare])
    chosen = coreset(rows, 60, projection=16)
    assert len(set(chosen.tolist())) == 60
    assert set(range(2000, 2005)) <= set(chosen.tolist())
    assert torch.equal(coreset(rows[:10], 60, 16), torch.arange(10))


def test_a_coreset_is_the_greedy_one_by_hand():
    rows = torch.randn(40, 3)
    chosen = coreset(rows, 10, projection=3).tolist()
    for number in range(1, 10):
        nearest = torch.cdist(rows, rows[chosen[:number]]).min(1).values
        assert int(nearest.argmax()) == chosen[number]


def test_the_reweighted_score_is_patchcores_by_hand():
    normal, tested = correlated(6), correlated(2) * 1.5
    config = PatchMemoryConfig(model="neighbours", memory=60, whitened=False, image_score="reweighted")
    state = fit(config, [normal], np.arange(6))
    found, memory = reweighted(state, tested), state["memory"]
    for image, score in zip(tested, found, strict=True):
        rows = image.permute(1, 2, 0).reshape(-1, 5)
        table = torch.cdist(rows, memory)
        patch = int(table.min(1).values.argmax())
        item = int(table[patch].argmin())
        around = torch.cdist(memory[item][None], memory)[0].topk(9, largest=False).indices
        weights = torch.exp(table[patch][around] - table[patch][around].max())
        by_hand = (1 - weights[around == item] / weights.sum()) * table[patch].min()
        assert float(score) == pytest.approx(float(by_hand), rel=1e-3)


def test_moments_of_a_constant_channel_can_be_inverted():
    moments = Moments()
    moments.add(torch.cat([torch.randn(30, 2), torch.ones(30, 1)], 1))
    assert torch.isfinite(moments.whitening(0.01)).all()


def test_smoothing_keeps_a_flat_map_and_the_mass_of_a_spot():
    assert torch.allclose(smoothed(torch.full((1, 1, 9, 9), 3.0), 2.0), torch.tensor(3.0))
    spot = torch.zeros(1, 1, 41, 41)
    spot[0, 0, 20, 20] = 1
    wide = smoothed(spot, 3.0)
    assert float(wide.sum()) == pytest.approx(1, abs=1e-4)
    assert float(wide[0, 0, 20, 23] / wide[0, 0, 20, 20]) == pytest.approx(0.6065, abs=1e-3)
    assert torch.equal(smoothed(spot, 0.0), spot)


def test_a_map_has_the_images_size_and_its_peak_where_the_patch_is():
    patches = torch.zeros(1, 4, 8)
    patches[0, 1, 6] = 1
    scores = pixel_scores(patches, 32, 64, smoothing=2.0)
    assert scores.shape == (1, 32, 64)
    row, column = divmod(int(scores.argmax()), 64)
    assert (abs(row - 11.5), abs(column - 51.5)) <= (1, 1)
