"""Detectors trained on made images whose level of structure is known, so the level that must fire is known too."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.training.batches import batch_rows
from workloads.training.distributed import Parallel


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


QUICK = MLSADConfig(width=0.125, detector_lr=1e-2, noise=0.01, dropout=0.0, lambda_position=0.0)
SOURCE = torch.Generator()


def fit(
    config: MLSADConfig, level: int, images: Tensor, steps: int, banks: Mapping[int, Tensor] | None = None
) -> DetectorLearner:
    learner = DetectorLearner(config, level, (images, images[:8]), banks or {}, 3, Parallel(), steps)
    for step in range(steps):
        learner.step(step, images[batch_rows(3, step, config.batch_size, len(images))])
    return learner


def noisy(images: Tensor, deviation: float) -> Tensor:
    images = images + deviation * torch.randn(images.shape, generator=SOURCE)
    return images.clamp(0, 255).to(torch.uint8)


def auroc(learner: DetectorLearner, normal: Tensor, odd: Tensor) -> float:
    scores = np.concatenate([learner.image_scores(normal), learner.image_scores(odd)])
    return float(roc_auc_score([0] * len(normal) + [1] * len(odd), scores))


def test_one_pixel_of_another_colour_fires_d_1() -> None:
    SOURCE.manual_seed(0)
    plain = noisy(torch.tensor([180.0, 60.0, 60.0])[None, :, None, None].expand(184, -1, 16, 16), 12)
    odd = plain[124:].clone()
    rows, columns = torch.randint(16, (2, 60), generator=SOURCE)
    odd[torch.arange(60), :, rows, columns] = torch.tensor([20, 200, 40], dtype=torch.uint8)
    assert auroc(fit(QUICK, 1, plain[:64], 200), plain[64:124], odd) > 0.9


def test_turned_stripes_fire_d_2_but_not_d_1() -> None:
    SOURCE.manual_seed(0)
    phase = torch.randint(2, (184, 1, 1, 1), generator=SOURCE)
    stripes = noisy(((torch.arange(16) + phase) % 2 * 160.0 + 40).expand(-1, 3, 16, -1), 8)
    train_images, normal, odd = stripes[:64], stripes[64:124], stripes[124:].mT
    assert auroc(fit(QUICK, 2, train_images, 120), normal, odd) > 0.99
    assert 0.3 < auroc(fit(QUICK, 1, train_images, 120), normal, odd) < 0.7


def bars(columns: Tensor) -> Tensor:
    """Images (N, 3, 16, 16) whose columns are dark where 0 and bright where 1, from (N, 16)."""
    return noisy((columns * 160.0 + 40)[:, None, None].expand(-1, 3, 16, -1), 8)


def periodic(pattern: str, count: int) -> Tensor:
    """(count, 16) columns of a repeated pattern, each from a random phase."""
    phase = torch.randint(len(pattern), (count, 1), generator=SOURCE)
    return torch.tensor([int(c) for c in pattern])[(torch.arange(16) + phase) % len(pattern)]


def test_an_order_of_four_columns_fires_d_4_but_not_d_2() -> None:
    SOURCE.manual_seed(0)
    # in 0011, in 00010111 and in independent columns the neighbours 00, 01, 11 and 10 are equally frequent
    images, odd = bars(periodic("0011", 124)), bars(periodic("00010111", 60))
    fakes = bars(torch.randint(2, (512, 16), generator=SOURCE))  # so these are exact level-2 fakes
    train_images, normal = images[:64], images[64:]
    assert auroc(fit(QUICK, 4, train_images, 120, {2: fakes}), normal, odd) > 0.95
    assert 0.3 < auroc(fit(QUICK, 2, train_images, 120), normal, odd) < 0.7


def test_a_shifted_object_fires_d_2_only_with_lambda_position() -> None:
    SOURCE.manual_seed(0)

    def squares(count: int, at: int) -> Tensor:
        image = torch.full((count, 3, 16, 16), 20.0)
        image[:, :, at : at + 6, at : at + 6] = 200
        return noisy(image, 6)

    train_images, normal, shifted = squares(64, 5), squares(60, 5), squares(60, 2)
    # level-1 fakes of an object that never moves look like the object: nothing but coordinates can tell
    rise = {}
    for position in (0.0, 0.4):
        learner = fit(replace(QUICK, lambda_position=position), 2, train_images, 120)
        rise[position] = learner.image_scores(shifted).mean() - learner.image_scores(normal).mean()
        if position:
            assert auroc(learner, normal, shifted) > 0.99
    assert rise[0.4] > 0.04
    assert abs(rise[0.0]) < 0.004
