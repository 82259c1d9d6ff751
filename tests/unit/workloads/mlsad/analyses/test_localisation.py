"""Where trained detectors see anomalies, what position taught D_1, and the pictures of both."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.method import State, Trained
from workloads.mlsad.analyses.localisation import localise
from workloads.mlsad.analyses.overlays import INFERNO, colours, limits, overlay, side_by_side, stretched
from workloads.mlsad.analyses.position import correlation, position
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.method import MLSAD, part_level
from workloads.training.batches import batch_rows
from workloads.training.distributed import Parallel

SIDE = 16
CONFIG = MLSADConfig(
    width=0.125, detector_lr=1e-2, noise=0.01, dropout=0.0, levels=(1, 2), grey_as_rgb=False, lambda_structure=1.0
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def scenes(count: int, seed: int) -> Tensor:
    """Grey images, dark above and bright below, slightly noisy."""
    ramp = torch.linspace(30, 220, SIDE)[None, None, :, None].expand(count, 1, SIDE, SIDE)
    return (ramp + 8 * torch.randn(ramp.shape, generator=torch.Generator().manual_seed(seed))).clamp(0, 255).byte()


def defects(count: int) -> tuple[Tensor, Tensor]:
    """The same with a bright square in the dark part, and where it is."""
    images, masks = scenes(count, 3), torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
    for i in range(count):
        masks[i, 1:5, 2 + i % 8 : 6 + i % 8] = 1
    return torch.where(masks[:, None] == 1, torch.tensor(250, dtype=torch.uint8), images), masks


def digits(count: int) -> Tensor:
    """Black-and-white images, the likelier white the nearer the middle, but everywhere likelier than in noise."""
    at = torch.linspace(-1, 1, SIDE)
    white = 0.15 + 0.7 * torch.exp(-3 * (at[:, None] ** 2 + at**2))
    drawn = torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) < white
    return drawn.to(torch.uint8) * 255


def states(config: MLSADConfig, train: Tensor, steps: int = 120) -> dict[str, State]:
    found = {}
    for unit in MLSAD(config).units(["scene"]):
        learner = DetectorLearner(config, part_level(unit), (train, train[:8]), {}, 5, Parallel(), steps)
        for step in range(steps):
            learner.step(step, train[batch_rows(5, step, config.batch_size, len(train))])
        found[str(unit)] = learner.state()
    return found


@pytest.fixture(scope="module")
def scene() -> Trained:
    train, val, normal, (odd, masks) = scenes(64, 0), scenes(8, 1), scenes(6, 2), defects(6)
    return Trained(
        target="scene",
        train=train,
        val=val,
        test=torch.cat([odd, normal]),
        test_anomalous=np.arange(12) < 6,
        artifacts={},
        states=states(CONFIG, train),
        test_masks=torch.cat([masks, torch.zeros_like(masks)]),
    )


# --- localise


def test_pixel_maps_find_the_defect(scene) -> None:
    found = localise(CONFIG, scene, seed=0)
    assert found.numbers.keys() == {"pixel_auroc", "pixel_auroc/level_1", "pixel_auroc/level_2"}
    assert found.numbers["pixel_auroc"] > 0.95
    assert found.pictures.keys() == {"most_anomalous", "most_normal"}
    for picture in found.pictures.values():
        assert (picture.shape, picture.dtype) == ((4 * 128, 3 * 128, 3), np.uint8)
    masks = {name: picture[:, 256:] for name, picture in found.pictures.items()}
    assert masks["most_anomalous"].any()
    assert not masks["most_normal"].any()


def test_maps_may_use_some_of_the_levels(scene) -> None:
    one = localise(replace(CONFIG, map_levels=(1,)), scene, seed=0)
    assert one.numbers["pixel_auroc"] == one.numbers["pixel_auroc/level_1"]
    assert "pixel_auroc/level_2" in one.numbers  # trained all the same: say what it would have done


def test_without_masks_there_are_pictures_and_no_numbers(scene) -> None:
    found = localise(CONFIG, replace(scene, test_masks=None), seed=0)
    assert found.numbers == {}
    assert found.pictures["most_normal"].shape == (512, 256, 3)
    none = localise(CONFIG, replace(scene, test_masks=torch.zeros_like(scene.test_masks)), seed=0)
    assert set(none.numbers.values()) == {None}


# --- position


def test_the_position_pair_turns_a_white_image_into_the_negative_of_the_mean(scene) -> None:
    numbers = {}
    for weight in (0.4, 0.0):
        # little weight on noise, so that the pair's effect stands out
        config = replace(CONFIG, lambda_position=weight, lambda_structure=0.1, noise=0.0, levels=(1,))
        train = digits(64)
        numbers[weight] = position(config, replace(scene, train=train, states=states(config, train, 300)), 0).numbers
    assert numbers[0.4]["correlation/white"] > 0.5  # measured after these few steps: .61 and .05
    assert numbers[0.0]["correlation/white"] < 0.25
    assert numbers[0.4]["spread/white"] > 20 * numbers[0.0]["spread/white"]  # measured: .055 and .0003


def test_only_the_noise_image_depends_on_the_seed(scene) -> None:
    one, same, other = (position(CONFIG, scene, seed) for seed in (0, 0, 1))
    assert one.numbers.keys() == {"correlation/white", "correlation/noise", "spread/white", "spread/noise"}
    assert one.pictures["position"].shape == (128, 4 * 128, 3)
    assert one.numbers == same.numbers
    assert one.numbers["correlation/white"] == other.numbers["correlation/white"]
    assert one.numbers["correlation/noise"] != other.numbers["correlation/noise"]


def test_without_d_1_there_is_nothing_to_see(scene) -> None:
    found = position(MLSADConfig(levels=(2,)), scene, seed=0)
    assert found.numbers.keys() == position(CONFIG, scene, seed=0).numbers.keys()
    assert set(found.numbers.values()) == {None}
    assert not found.pictures


def test_correlation_is_pearsons_and_undefined_for_constants() -> None:
    a, b = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.flatten(), b.flatten())[0, 1])
    assert correlation(a, 1 - a) == pytest.approx(-1)
    assert correlation(a, torch.full_like(a, 0.3)) is None


# --- pictures


def test_colours_are_the_table_and_what_lies_between() -> None:
    steps = torch.arange(16)[None] / 15
    assert [tuple(c) for c in colours(steps)[:, 0].T.tolist()] == list(INFERNO)
    fine = colours(torch.linspace(-0.1, 1.1, 400)[None])[:, 0].double()
    light = 0.2126 * fine[0] + 0.7152 * fine[1] + 0.0722 * fine[2]
    assert (light.diff() > -1.1).all()  # rises, but for rounding to bytes
    assert tuple(fine[:, 0].int().tolist()) == INFERNO[0]
    assert tuple(fine[:, -1].int().tolist()) == INFERNO[-1]


def test_limits_are_shared_and_hold_what_is_shown() -> None:
    normal, shown = torch.linspace(0, 1, 1001).view(1, 7, 143) / 2, torch.full((1, 2, 2), 0.9)
    low, high = limits(normal, shown)
    assert low == pytest.approx(0.005)
    assert high == pytest.approx(0.9)
    assert limits(normal, shown / 10)[1] == pytest.approx(0.4975)
    assert stretched(torch.tensor([0.0, 0.4525, 2.0]), low, high).tolist() == pytest.approx([0, 0.5, 1])
    assert not stretched(torch.full((2,), 0.3), 0.3, 0.3).any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "expected"), [(8, 128), (28, 140), (32, 128), (200, 200)])
def test_an_overlay_is_the_image_beside_its_map(channels, side, expected) -> None:
    image, scores = torch.randint(256, (channels, side, side), dtype=torch.uint8), torch.rand(side, side)
    found = overlay(image, scores, 0.0, 1.0)
    assert (found.shape, found.dtype) == ((expected, 2 * expected, 3), np.uint8)
    times = expected // side
    assert np.array_equal(found[::times, :expected:times], image.expand(3, -1, -1).permute(1, 2, 0))
    hot, cold = (overlay(image, torch.full((side, side), v), 0.0, 1.0)[:, expected:] for v in (1.0, 0.0))
    assert (hot >= cold).all()
    third = overlay(image, scores, 0.0, 1.0, torch.ones(side, side, dtype=torch.uint8))[:, 2 * expected :]
    assert (third == 255).all()


def test_panels_of_grey_and_colour_join() -> None:
    grey, red = torch.full((1, 64, 64), 7, dtype=torch.uint8), torch.zeros(3, 64, 64, dtype=torch.uint8)
    red[0] = 200
    found = side_by_side([grey, red])
    assert found.shape == (128, 256, 3)
    assert (found[0, 0].tolist(), found[-1, -1].tolist()) == ([7, 7, 7], [200, 0, 0])
