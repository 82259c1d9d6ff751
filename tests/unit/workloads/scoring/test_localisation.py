"""Numbers of maps are of whole images, however these are cut into windows, and of a few maps at a time."""

import numpy as np
import pytest
import torch

from workloads.data.view import TargetView
from workloads.data.windows import Form, cut, layout
from workloads.scoring import localisation
from workloads.scoring.localisation import pixel_metrics
from workloads.scoring.pixel_metrics import PixelCounts

FORM = Form(8, 8, "tiles")


class Brightness:
    """A part whose maps are the pixels themselves."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def maps(self, images):
        return images[:, 0].float() * self.factor


@pytest.fixture
def photographs():
    """(image (1, H, W), mask (H, W)) of several sizes; defects are brighter, and cross the borders of windows."""
    rng = np.random.default_rng(0)
    pairs = []
    for height, width in ((8, 8), (20, 13), (9, 30)):
        mask = np.zeros((height, width), np.uint8)
        mask[2:6, 5:9], mask[7, 1] = 1, 1
        pairs.append(((rng.integers(0, 150, (height, width)) + 60 * mask).astype(np.uint8)[None], mask))
    return pairs


def view_of(photographs, masks=True):
    layouts = [layout(*mask.shape, FORM) for _, mask in photographs]
    windows = [cut(image, chosen, FORM) for (image, _), chosen in zip(photographs, layouts, strict=True)]
    cuts = [cut(mask[None], chosen, FORM)[:, 0] for (_, mask), chosen in zip(photographs, layouts, strict=True)]
    return TargetView(
        "good",
        train=torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
        val=torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
        test=torch.from_numpy(np.concatenate(windows)),
        ids={"test": [str(number) for number, part in enumerate(windows) for _ in part]},
        masks=torch.from_numpy(np.concatenate(cuts)) if masks else None,
        windows={"test": np.concatenate([chosen.places for chosen in layouts])},
    )


def of_whole_images(photographs):
    counts = PixelCounts()
    for image, mask in photographs:
        counts.add(image[0].astype(np.float32), mask)
    return counts.metrics()


@pytest.mark.parametrize("pixels", [1, 500, 1 << 22], ids=["one image at a time", "a few", "all at once"])
def test_windows_count_as_the_images_that_they_are_cut_from(photographs, monkeypatch, pixels):
    monkeypatch.setattr(localisation, "PIXELS", pixels)
    assert len(view_of(photographs).masks) > len(photographs)
    assert pixel_metrics([Brightness()], view_of(photographs)) == of_whole_images(photographs)


def test_a_detectors_map_is_the_mean_of_its_parts(photographs):
    inverse, twice = Brightness(-1.0), Brightness(3.0)
    assert pixel_metrics([inverse, twice], view_of(photographs)) == of_whole_images(photographs)


def test_without_maps_or_masks_there_are_no_numbers(photographs):
    assert pixel_metrics([], view_of(photographs)) is None
    assert pixel_metrics([Brightness()], view_of(photographs, masks=False)) is None
