"""Duplicates: what counts as one, and that the fast search is the exhaustive one."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from workloads.data.duplicates import Known, perceptual_hashes, within


@pytest.fixture(scope="module")
def tiles():
    """Real 32x32 pieces of scikit-learn's two photographs, uint8 (N, 3, 32, 32)."""
    found = []
    for photo in load_sample_images().images:
        for top in range(0, 427 - 64, 64):
            found += [photo[top : top + 64 : 2, left : left + 64 : 2] for left in range(0, 640 - 64, 64)]
    return np.stack(found).transpose(0, 3, 1, 2)


def jpeg(image):
    data = BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(data, "JPEG", quality=90)
    return np.asarray(Image.open(data)).transpose(2, 0, 1)


def test_exact_copies_are_found_and_one_changed_pixel_is_only_near(tiles):
    known = Known.of(tiles[:50], threshold=4)
    changed = tiles[:1].copy()
    changed[0, 0, 3, 3] ^= 1
    exact, near = known.find(np.concatenate([tiles[10:12], changed]))
    assert exact.tolist() == [True, True, False]
    assert near.tolist() == [False, False, True]


def test_reencoded_images_are_near_and_others_are_not(tiles):
    textured = tiles[tiles.std(axis=(1, 2, 3)) > 20]  # a plain sky's hash is noise
    known = Known.of(textured[::2], threshold=4)
    exact, near = known.find(np.stack([jpeg(image) for image in textured[::2]]))
    assert (exact | near).mean() > 0.75
    assert not np.logical_or(*known.find(textured[1::2])).any()


def test_without_a_threshold_only_exact_copies_count(tiles):
    exact, near = Known.of(tiles[:5], threshold=None).find(np.stack([tiles[0], jpeg(tiles[1])]))
    assert exact.tolist() == [True, False]
    assert not near.any()


@pytest.mark.parametrize("threshold", [0, 1, 4, 9])
def test_the_search_by_bands_is_the_exhaustive_search(threshold):
    random = np.random.default_rng(threshold)
    known = random.integers(0, 2**64, 300, dtype=np.uint64)
    flips = random.integers(0, 2, (400, 64)) * (random.random((400, 64)) < 0.15)
    hashes = known[random.integers(0, 300, 400)] ^ np.packbits(flips.astype(np.uint8), axis=1).view(np.uint64)[:, 0]
    distance = np.bitwise_count(hashes[:, None] ^ known[None, :])
    np.testing.assert_array_equal(within(hashes, known, threshold), distance.min(axis=1) <= threshold)


def test_a_hash_does_not_depend_on_brightness(tiles):
    darker = (tiles[:20] * 0.9).astype(np.uint8)
    distance = np.bitwise_count(perceptual_hashes(tiles[:20]) ^ perceptual_hashes(darker))
    assert np.median(distance) <= 2
