"""Where trained detectors see anomalies, what position taught D_1, and the pictures of both."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.learner import Fitted, State
from workloads.mlsad.analyses.localisation import limits, localise
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
def scene() -> tuple[TargetView, Fitted]:
    train, val, normal, (odd, masks) = scenes(64, 0), scenes(8, 1), scenes(6, 2), defects(6)
    view = TargetView(
        target="scene",
        train=train,
        val=val,
        test=torch.cat([odd, normal]),
        anomalous=np.arange(12) < 6,
        masks=torch.cat([masks, torch.zeros_like(masks)]),
    )
    return view, Fitted(states=states(CONFIG, train))


# --- localise


def test_pixel_maps_find_the_defect(scene) -> None:
    found = localise(CONFIG, *scene, seed=0)
    assert found.numbers.keys() == {"pixel_auroc", "pixel_auroc/level_1", "pixel_auroc/level_2"}
    assert found.numbers["pixel_auroc"] > 0.95
    assert found.pictures.keys() == {"most_anomalous", "most_normal"}
    anomalous, normal = (found.pictures[name] for name in ("most_anomalous", "most_normal"))
    assert anomalous.shape == normal.shape
    masks = slice(anomalous.shape[1] // 2 + 20, int(anomalous.shape[1] * 0.8))  # inside the third of the columns
    black = (anomalous[:, masks] == 0).all(-1), (normal[:, masks] == 0).all(-1)
    assert black[1].sum() > black[0].sum()  # a defect is white


def test_maps_may_use_some_of_the_levels(scene) -> None:
    one = localise(replace(CONFIG, map_levels=(1,)), *scene, seed=0)
    assert one.numbers["pixel_auroc"] == one.numbers["pixel_auroc/level_1"]
    assert "pixel_auroc/level_2" in one.numbers  # trained all the same: say what it would have done


def test_pixels_where_windows_overlap_count_once(scene) -> None:
    """Every window twice at its place is the image that it was."""
    view, fitted = scene
    count = len(view.tested)
    places = np.tile(np.array([0, 0, SIDE, SIDE], np.int32), (2 * count, 1))
    twice = replace(
        view,
        test=view.tested.repeat_interleave(2, 0),
        masks=view.masks.repeat_interleave(2, 0),
        ids={"test": [str(number) for number in range(count) for _ in range(2)]},
        windows={"test": places},
    )
    assert localise(CONFIG, twice, fitted, seed=0).numbers == localise(CONFIG, view, fitted, seed=0).numbers


def test_without_masks_there_are_pictures_and_no_numbers(scene) -> None:
    view, fitted = scene
    found = localise(CONFIG, replace(view, masks=None), fitted, seed=0)
    assert found.numbers == {}
    assert found.pictures["most_normal"].shape[1] < localise(CONFIG, *scene, seed=0).pictures["most_normal"].shape[1]
    none = localise(CONFIG, replace(view, masks=torch.zeros_like(view.masks)), fitted, seed=0)
    assert set(none.numbers.values()) == {None}


# --- position


def test_the_position_pair_turns_a_white_image_into_the_negative_of_the_mean(scene) -> None:
    numbers = {}
    for weight in (0.4, 0.0):
        # little weight on noise, so that the pair's effect stands out
        config = replace(CONFIG, lambda_position=weight, lambda_structure=0.1, noise=0.0, levels=(1,))
        train = digits(64)
        numbers[weight] = position(
            config, replace(scene[0], train=train), Fitted(states=states(config, train, 300)), 0
        ).numbers
    assert numbers[0.4]["correlation/white"] > 0.5  # measured after these few steps: .61 and .05
    assert numbers[0.0]["correlation/white"] < 0.25
    assert numbers[0.4]["spread/white"] > 20 * numbers[0.0]["spread/white"]  # measured: .055 and .0003


def test_only_the_noise_image_depends_on_the_seed(scene) -> None:
    one, same, other = (position(CONFIG, *scene, seed) for seed in (0, 0, 1))
    assert one.numbers.keys() == {"correlation/white", "correlation/noise", "spread/white", "spread/noise"}
    assert one.pictures["position"].shape[1] > 3 * one.pictures["position"].shape[0]
    assert one.numbers == same.numbers
    assert one.numbers["correlation/white"] == other.numbers["correlation/white"]
    assert one.numbers["correlation/noise"] != other.numbers["correlation/noise"]


def test_without_d_1_there_is_nothing_to_see(scene) -> None:
    found = position(MLSADConfig(levels=(2,)), *scene, seed=0)
    assert found.numbers.keys() == position(CONFIG, *scene, seed=0).numbers.keys()
    assert set(found.numbers.values()) == {None}
    assert not found.pictures


def test_correlation_is_pearsons_and_undefined_for_constants() -> None:
    a, b = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.flatten(), b.flatten())[0, 1])
    assert correlation(a, 1 - a) == pytest.approx(-1)
    assert correlation(a, torch.full_like(a, 0.3)) is None


# --- limits of the colours


def test_limits_are_shared_and_hold_what_is_shown() -> None:
    normal, shown = torch.linspace(0, 1, 1001).view(1, 7, 143) / 2, torch.full((1, 2, 2), 0.9)
    low, high = limits(normal, shown)
    assert low == pytest.approx(0.005)
    assert high == pytest.approx(0.9)
    assert limits(normal, shown / 10)[1] == pytest.approx(0.4975)
