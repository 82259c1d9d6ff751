"""Detectors that train on random crops of large images: what is cut, where it says it is, and what it costs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.mlsad import architecture
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.crops import crop_corners, crops
from workloads.mlsad.method import MLSAD
from workloads.mlsad.networks.layers import coordinates
from workloads.training.batches import batch_rows
from workloads.training.distributed import Draws, Parallel
from workloads.units import ImageShape, TrainingCounts, Unit

CPU = torch.device("cpu")
TINY = MLSADConfig(width=0.0625, batch_size=8, crop=20)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def where_they_are(count: int = 20, side: int = 32) -> Tensor:
    """Images whose pixels hold their own row and column."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([rows, columns, rows])[None].repeat(count, 1, 1, 1).to(torch.uint8)


def detector(config: MLSADConfig = TINY, level: int = 4) -> DetectorLearner:
    images = where_they_are()
    return DetectorLearner(config, level, (images, images[:4]), {2: images}, 7, Parallel(), 4)


def train(learner: DetectorLearner, first: int = 0) -> list[float]:
    images = learner.train
    rows = [batch_rows(7, step, learner.batch_size, len(images)) for step in range(learner.total_steps)]
    return [float(learner.step(s, images[rows[s]])["loss"]) for s in range(first, learner.total_steps)]


def test_a_crop_is_the_square_at_its_corner() -> None:
    x, corners = torch.randn(3, 2, 9, 9), torch.tensor([[0, 0], [4, 1], [2, 4]])
    expected = [image[:, r : r + 5, c : c + 5] for image, (r, c) in zip(x, corners.tolist(), strict=True)]
    assert torch.equal(crops(x, corners, 5), torch.stack(expected))
    shared = [x[0, :, r : r + 5, c : c + 5] for r, c in corners.tolist()]
    assert torch.equal(crops(x[:1], corners, 5), torch.stack(shared))


@pytest.mark.parametrize("level", [1, 2, 4, 8, 16])
def test_crops_keep_their_coordinates_on_the_whole_image(level) -> None:
    learner = detector(level=level)
    images, place = learner.cropped(Draws(0, CPU, Parallel()), where_they_are(16))
    side = 20 - level + 1
    assert (images.shape, place.shape) == ((16, 3, 20, 20), (16, 2, side, side))
    # a window's centre, from the rows and columns that its pixels hold
    centres = images[:, :2, :side, :side].float() + (level - 1) / 2
    torch.testing.assert_close(place, centres / 31 * 2 - 1)
    corners = images[:, :2, 0, 0]
    assert len(corners.unique(dim=0)) > 4  # every image has its own place, normal and fake
    assert not torch.equal(corners[:8], corners[8:])


def test_places_reach_both_borders() -> None:
    draws, learner = Draws(0, CPU, Parallel()), detector()
    corners = torch.cat([learner.cropped(draws, where_they_are(16))[0][:, :2, 0, 0] for _ in range(40)])
    assert (int(corners.min()), int(corners.max())) == (0, 12)


@pytest.mark.parametrize(("level", "crop"), [(1, 8), (4, 8), (8, 16), (16, 24)])
def test_windows_at_the_borders_are_seen_as_often_as_places_are_drawn(level, crop) -> None:
    windows, own = 32 - level + 1, crop - level + 1
    first = crop_corners(Draws(0, CPU, Parallel()), (40_000,), 32, crop, level)[:, 0]
    seen = torch.stack([((first <= w) & (w < first + own)).float().mean() for w in range(windows)])
    assert float(seen.min()) > own / (windows + own - 1) - 0.02
    assert abs(float(seen[0]) - float(seen[-1])) < 0.02


@pytest.mark.parametrize("level", [1, 2, 4])
@pytest.mark.parametrize("position", ["in_range", "grid"])
def test_training_sees_crops_alone(level, position, monkeypatch) -> None:
    learner, seen = detector(replace(TINY, position=position), level), []
    monkeypatch.setattr(learner.net.trunk, "forward", lambda x, own=learner.net.trunk.forward: seen.append(x) or own(x))
    learner.step(0, learner.train[:8])
    assert [x.shape for x in seen] == [(16, 3, 20, 20)]


def test_displaced_coordinates_of_crops_come_from_the_whole_grid() -> None:
    learner = detector(replace(TINY, position="grid"))
    found = learner.displaced(Draws(0, CPU, Parallel()), 200, 17)
    assert found.shape == (200, 2, 17, 17)
    assert set(found.flatten().tolist()) == set(learner.place.flatten().tolist())


def test_a_crop_as_large_as_the_image_is_the_image() -> None:
    assert train(detector(replace(TINY, crop=32))) == train(detector(replace(TINY, crop=0)))
    assert train(detector()) != train(detector(replace(TINY, crop=0)))


def test_crops_are_reproducible_and_a_resumed_run_is_the_same() -> None:
    begun, resumed = detector(), detector()
    logs = train(detector())
    assert train(detector()) == logs
    for step in range(2):
        begun.step(step, begun.train[batch_rows(7, step, 8, 20)])
    resumed.load_state(begun.state())
    assert train(resumed, first=2) == logs[2:]


def test_whole_images_are_scored() -> None:
    learner = detector()
    assert learner.window_scores(learner.val).shape == (4, 29, 29)
    assert torch.equal(learner.place, coordinates(32, 4, CPU))
    assert all(np.isfinite(scores["level_4"]).all() for scores in learner.contrast().values())


def test_the_estimate_counts_the_crop() -> None:
    config, unit = replace(TINY, blocks=2), Unit("detector", "wood", "level_8")
    images = ImageShape(3, 256, 256), TrainingCounts(100)
    step = architecture.detector_step_macs(8, 20, config.width, 2, 3) * config.batch_size
    method = MLSAD(config)
    assert method.cost(unit, *images).macs == step * method.steps(unit, TrainingCounts(100))
    assert method.cost(unit, *images).macs < MLSAD(replace(config, crop=0)).cost(unit, *images).macs / 100
    made = Unit("generator", "wood", "level_8")
    assert method.cost(made, *images).macs == MLSAD(replace(config, crop=0)).cost(made, *images).macs


def test_generators_do_not_depend_on_keys_of_detectors_and_maps() -> None:
    unit = Unit("generator", "wood", "level_8")
    other = replace(TINY, crop=0, pooling="max", map_levels=(4, 8))
    assert MLSAD(other).stage_config(unit) == MLSAD(TINY).stage_config(unit)
