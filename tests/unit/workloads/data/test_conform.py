"""Images in another shape, and detectors that meet images of the other number of channels."""

import numpy as np
import pytest
import torch

from tests.helpers.learners import TINY, general_flow, target_flow
from tests.helpers.learners import view as flow_view
from workloads.data.conform import conform
from workloads.errors import UserError
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.scorer import LevelScorer
from workloads.units import ImageShape

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def test_height_and_width_are_their_own() -> None:
    images = RNG.integers(0, 256, (3, 3, 8, 12)).astype(np.uint8)
    assert conform(images, ImageShape(3, 8, 12)) is images
    assert conform(images, ImageShape(1, 4, 12)).shape == (3, 1, 4, 12)
    flat = np.full((2, 1, 9, 6), 201, np.uint8)
    assert (conform(flat, ImageShape(3, 5, 11)) == 201).all()


def test_arrays_and_tensors_become_the_same() -> None:
    images = RNG.integers(0, 256, (3, 3, 8, 12)).astype(np.uint8)
    images.flags.writeable = False
    shape = ImageShape(1, 5, 5)
    found = conform(images, shape)
    assert np.array_equal(found, conform(torch.from_numpy(images.copy()), shape).numpy())
    assert found.flags.c_contiguous


def test_what_is_no_image_is_refused() -> None:
    for images in (torch.zeros(2, 3, 8, 8), torch.zeros(2, 2, 8, 8, dtype=torch.uint8)):
        with pytest.raises(UserError, match="uint8"):
            conform(images, ImageShape(3, 8, 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_detector_of_grey_images_scores_rgb_ones_and_back(channels: int) -> None:
    grey = torch.from_numpy(RNG.integers(0, 256, (6, 1, 16, 16)).astype(np.uint8))
    scorer = LevelScorer(MLSADConfig(width=0.0625, grey_as_rgb=False), 2, ImageShape(channels, 16, 16), CPU)
    rgb = conform(grey, ImageShape(3, 16, 16))
    assert np.array_equal(scorer.image_scores(grey), scorer.image_scores(rgb)), "a grey image is the same as RGB"
    other = RNG.integers(0, 256, (6, 3, 16, 16)).astype(np.uint8)
    assert np.isfinite(scorer.image_scores(torch.from_numpy(other))).all()


def test_a_flow_of_grey_images_scores_rgb_ones() -> None:
    given = flow_view()
    flow = target_flow(TINY, given, general_flow(TINY, given).artifact())
    rgb = conform(given.val, ImageShape(3, 8, 8))
    for part, scores in flow.score(given.val).items():
        if not part.startswith("complexity"):  # of the file that holds the image, which has other channels
            assert np.array_equal(scores, flow.score(rgb)[part]), part
