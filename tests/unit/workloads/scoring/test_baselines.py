"""Baselines: against independent arithmetic, on real digits, and where numbers go to their limits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KernelDensity

from workloads.data.datasets import load
from workloads.data.images import Dataset
from workloads.data.view import TargetView
from workloads.errors import UserError
from workloads.scoring.baselines import (
    BANDWIDTHS,
    BASELINES,
    CONVOLUTIONS,
    Images,
    baseline_rows,
    kde,
    leave_one_out_bandwidth,
    nearest_neighbour,
)
from workloads.scoring.metrics import out_auroc


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", Path("unused"))


def normals(digits: Dataset, label: int) -> Images:
    return digits.train.images[digits.train.labels == label]


@pytest.mark.parametrize(("name", "least"), [("OC-SVM", 0.97), ("KDE", 0.99), ("5-NN", 0.99), (CONVOLUTIONS, 0.99)])
def test_mean_auroc_on_digits(digits: Dataset, name: str, least: float) -> None:
    """Measured: OC-SVM .982, KDE .997, 5-NN .997, on random convolutions .998.

    Above one half by far also proves the direction of the scores."""
    found = [
        roc_auc_score(digits.test.labels != label, BASELINES[name](normals(digits, label), digits.test.images))
        for label in range(10)
    ]
    assert np.mean(found) > least


def test_kde_is_the_log_sum_exp(digits: Dataset) -> None:
    train, test = normals(digits, 3), digits.test.images[:200]
    h = leave_one_out_bandwidth(train)
    a, b = (images.reshape(len(images), -1) / 255 for images in (train, test))
    squared = ((b[:, None] - a[None]) ** 2).sum(-1)
    expected = logsumexp(-squared / (2 * h**2), axis=1) - np.log(len(a)) - a.shape[1] / 2 * np.log(2 * np.pi * h**2)
    assert np.allclose(-kde(train, test), expected, rtol=0, atol=1e-8)
    exact = KernelDensity(bandwidth=h, leaf_size=len(a)).fit(a)
    assert np.allclose(-kde(train, test), exact.score_samples(b), rtol=0, atol=1e-8)


def test_bandwidth_has_the_greatest_cross_validated_likelihood(digits: Dataset) -> None:
    train = normals(digits, 8)[:25]
    rows = train.reshape(len(train), -1) / 255
    grid = np.sqrt(rows.var(axis=0).mean()) * BANDWIDTHS
    models = [KernelDensity(bandwidth=h, leaf_size=len(rows)) for h in grid]
    likelihoods = [cross_val_score(model, rows, cv=LeaveOneOut()).mean() for model in models]
    assert leave_one_out_bandwidth(train) == pytest.approx(grid[int(np.argmax(likelihoods))])


def test_nearest_neighbour_by_hand() -> None:
    train = np.array([0, 51, 102, 153, 204, 255], np.uint8).reshape(6, 1, 1, 1)
    test = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    assert nearest_neighbour(train, test) == pytest.approx([0.4, 0.4])  # the mean of 0, .2, .4, .6 and .8
    assert nearest_neighbour(train[:2], test) == pytest.approx([0.1, 0.9])


def test_blocks_do_not_matter(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = normals(digits, 5), digits.test.images[:100]
    whole = {name: baseline(train, test) for name, baseline in BASELINES.items()}
    monkeypatch.setattr("workloads.scoring.baselines.BLOCK", 7)
    for name, baseline in BASELINES.items():
        assert np.allclose(baseline(train, test), whole[name], rtol=1e-12), name


@pytest.mark.parametrize("name", BASELINES)
def test_repeated_channels_count_once(digits: Dataset, name: str) -> None:
    train, test = normals(digits, 1), digits.test.images[:50]
    thrice = BASELINES[name](train.repeat(3, axis=1), test.repeat(3, axis=1))
    assert np.array_equal(thrice, BASELINES[name](train, test))


def test_colour_in_the_test_images_alone_counts(digits: Dataset) -> None:
    train, test = normals(digits, 1).repeat(3, axis=1), digits.test.images[:2].repeat(3, axis=1)
    test[1] = test[0]
    test[1, 2] ^= 255
    grey, coloured = nearest_neighbour(train, test)
    assert coloured > grey


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("train_value", [0, 128, 255])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_constant_and_few_images_give_finite_scores(name: str, train_value: int, n: int) -> None:
    train = np.full((n, 3, 32, 32), train_value, np.uint8)
    test = np.stack([np.full((3, 32, 32), value, np.uint8) for value in (train_value, 255 - train_value)])
    scores = BASELINES[name](train, test)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    assert np.isfinite(scores.astype(np.float32)).all()
    assert scores[0] < scores[1]


@pytest.mark.parametrize("name", BASELINES)
def test_shapes_are_checked(name: str) -> None:
    images = np.zeros((3, 1, 4, 4), np.uint8)
    with pytest.raises(UserError, match="do not match"):
        BASELINES[name](images, np.zeros((3, 1, 5, 5), np.uint8))
    with pytest.raises(UserError, match="no train images"):
        BASELINES[name](images[:0], images)
    with pytest.raises(UserError, match="no test images"):
        BASELINES[name](images, images[:0])
    with pytest.raises(UserError, match="expected uint8"):
        BASELINES[name](images.astype(np.float32), images)  # type: ignore[arg-type]


def test_where_a_whole_dataset_is_normal_the_out_sets_are_scored(digits: Dataset) -> None:
    train, test = (torch.from_numpy(part.images[:60]) for part in (digits.train, digits.test))
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), np.uint8))
    ids = {"test": [f"t/{i}" for i in range(60)], "out/noise": [f"n/{i}" for i in range(20)]}
    view = TargetView(
        "digits", train, train[:4], test, ids=ids, anomalous=np.zeros(60, bool), out={"noise": noise},
        class_names={"test": ["digits"] * 60, "out/noise": ["noise"] * 20},
    )  # fmt: skip
    table = baseline_rows(CONVOLUTIONS, view, with_out=True)
    assert out_auroc(table)["digits", "all", "noise"] > 0.99
    assert set(baseline_rows(CONVOLUTIONS, view)["split"].to_pylist()) == {"test"}
