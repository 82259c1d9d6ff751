"""Numbers of maps against scikit-learn's and against a plain count of regions, threshold by threshold."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from workloads.scoring import pixel_metrics
from workloads.scoring.pixel_metrics import PixelCounts, PixelMetrics, sortable


def measured(maps, masks):
    counts = PixelCounts()
    for pixel_map, mask in zip(maps, masks, strict=True):
        counts.add(pixel_map, mask)
    return counts.metrics()


def drawn(seed, levels=None):
    """Six images of 24 x 24 with up to three defects, some of which touch; maps that half know of them."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((6, 24, 24), np.uint8)
    for mask in masks[1:]:
        for _ in range(rng.integers(1, 4)):
            top, left = rng.integers(0, 20, 2)
            mask[top : top + rng.integers(1, 7), left : left + rng.integers(1, 7)] = 1
    maps = (rng.normal(0, 1, masks.shape) + masks * rng.normal(1, 1, (6, 1, 1))).astype(np.float32)
    return (np.round(maps * levels) / levels if levels else maps).astype(np.float32), masks


def regions_of(mask):
    """Pixels of every region, found by walking from neighbour to neighbour."""
    left, regions = {tuple(pixel) for pixel in np.argwhere(mask)}, []
    while left:
        region, border = [], [left.pop()]
        while border:
            row, column = border.pop()
            region.append((row, column))
            beside = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= beside
            border += beside
        regions.append(region)
    return regions


def plain_aupro(maps, masks, limit=0.3):
    """The curve's points threshold by threshold, then the area by many thin slices."""
    regions = [np.array([maps[n][pixel] for pixel in r]) for n, mask in enumerate(masks) for r in regions_of(mask)]
    normal = maps[masks == 0]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        overlap = np.mean([(region >= threshold).mean() for region in regions])
        points.append(((normal >= threshold).mean(), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 < limit and x1 > x0:
            end = min(x1, limit)
            area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [8, 1])
def test_scores_of_few_bits_give_the_exact_numbers(seed, levels):
    maps, masks = drawn(seed, levels)
    numbers = measured(maps, masks)
    assert numbers.auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)
    assert numbers.average_precision == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()), abs=1e-12)
    assert numbers.aupro == pytest.approx(plain_aupro(maps, masks), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_any_scores_give_them_to_within_what_rounding_may_tie(seed):
    maps, masks = drawn(seed)
    numbers = measured(maps, masks)
    assert numbers.auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-5)
    assert numbers.average_precision == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()), abs=1e-4)
    assert numbers.aupro == pytest.approx(plain_aupro(maps, masks), abs=1e-4)


def test_a_small_region_weighs_as_much_as_a_large_one():
    mask = np.zeros((20, 20), np.uint8)
    mask[:10, :10], mask[15, 15] = 1, 1
    large, small = mask.astype(np.float32), np.zeros((20, 20), np.float32)
    large[15, 15], small[15, 15] = 0, 1
    overlap = measured([large], [mask]).aupro
    assert overlap == pytest.approx(measured([small], [mask]).aupro)
    # one of two regions from the start, and a share of the other that grows with the false positives up to 30 %
    assert overlap == pytest.approx(0.5 + 0.5 * 0.3 / 2)


def test_regions_touch_at_corners():
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = mask[1, 1] = mask[3, 3] = 1
    counts = PixelCounts()
    counts.add(mask.astype(np.float32), mask)
    ((_, (_, _, shares)),) = counts.pieces
    assert shares.sum() == 2


def test_perfect_maps_are_perfect_and_upside_down_ones_are_nothing():
    _, masks = drawn(0)
    assert measured(masks.astype(np.float32), masks) == pytest.approx((1, 1, 1))
    upside_down = measured(-masks.astype(np.float32), masks)
    assert (upside_down.auroc, upside_down.aupro) == pytest.approx((0, 0))


def test_what_is_put_together_on_the_way_is_the_same(monkeypatch):
    maps, masks = drawn(1)
    whole = measured(maps, masks)
    monkeypatch.setattr(pixel_metrics, "MERGED", 100)
    assert measured(maps, masks) == whole


def test_memory_grows_with_the_scores_that_differ_and_not_with_the_images():
    counts = PixelCounts()
    rng = np.random.default_rng(0)
    mask = np.zeros((512, 512), np.uint8)
    mask[:50, :50] = 1
    sizes = []
    for _ in range(12):
        counts.add(rng.random((512, 512), np.float32), mask)
        sizes.append(sum(len(keys) for keys, _ in counts.pieces))
    assert max(sizes) < 2.2e6, "a part of the 3.1 million pixels: each waits once at most"
    assert len(counts._merged()[0]) < 1.4e6


@pytest.mark.parametrize("value", [0, 1])
def test_pixels_of_one_kind_alone_leave_all_undefined(value):
    masks = np.full((2, 4, 4), value, np.uint8)
    assert measured(np.zeros((2, 4, 4), np.float32), masks) == PixelMetrics(None, None, None)
    assert PixelCounts().metrics() == PixelMetrics(None, None, None)


def test_pixels_that_nothing_looked_at_are_left_out():
    maps, masks = drawn(2, levels=4)
    blind = maps.copy()
    blind[:, :, 20:] = np.nan
    assert measured(blind, masks) == measured(maps[:, :, :20], masks[:, :, :20])


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="alike"):
        PixelCounts().add(np.zeros((4, 4), np.float32), np.zeros((4, 5), np.uint8))


def test_rounded_scores_keep_their_order():
    scores = np.array([-np.inf, -3e38, -2, -1.5, -1e-30, -0.0, 0.0, 1e-30, 1.5, 2, 3e38, np.inf], np.float32)
    keys = sortable(scores).astype(np.int64)
    assert (np.diff(keys) >= 0).all()
    assert len(np.unique(keys)) == len(scores) - 1, "zero and minus zero are equal"
    assert sortable(np.float32([1.0]))[0] < sortable(np.float32([1 + 2**-15]))[0]
