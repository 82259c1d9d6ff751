"""A method that fits in one go: its training images scored by fits that have not seen them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from workloads.errors import UserError
from workloads.keys import key
from workloads.method import FittedMethod
from workloads.training.fitted import FOLDS, Fit
from workloads.units import Unit


@dataclass(frozen=True)
class Config:
    seed: int = key(0)


class Memory(FittedMethod):
    """Whether an image is among those that were learnt: 0 where it is, 1 where it is not."""

    name, Config = "memory", Config
    sizes: ClassVar[list] = []

    def fit(self, images):
        self.sizes.append(len(images))
        return {"seen": images[:, 0, 0, 0]}

    def score(self, fitted, images):
        return (images[:, 0, 0, :1] != fitted["seen"]).all(1).float()


def fit_of(count, repeats=1):
    images = torch.arange(count, dtype=torch.uint8).repeat_interleave(repeats).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    numbers = np.arange(count).repeat(repeats)
    return Fit(Memory(Config()), torch.device("cpu"), Unit("detector", "good", "whole"), images, numbers)


@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        ("fit", None, "returned a NoneType, not a dictionary of tensors and plain numbers"),
        ("score", torch.zeros(4, 1), r"returned a Tensor of shape \(4, 1\), not .* for each of 4 images"),
        ("score", torch.zeros(3), r"of shape \(3,\)"),
        ("score", np.zeros(4), r"returned a ndarray of shape \(4,\)"),
    ],
)
def test_what_a_method_returns_is_looked_at(function, value, words, monkeypatch):
    monkeypatch.setattr(Memory, function, lambda *_: value)
    with pytest.raises(UserError, match=words):
        fit_of(4).score(fit_of(4).images)


@pytest.mark.parametrize("count", [2, 3, 7, 53])
def test_every_image_is_scored_by_a_fit_without_it(count):
    learner = fit_of(count)
    _ = learner.fitted
    Memory.sizes.clear()
    assert learner.cross_scores()["score"].tolist() == [1] * count
    folds = min(FOLDS, count)
    assert sorted(count - size for size in Memory.sizes) == sorted(len(f) for f in np.array_split(range(count), folds))
    assert learner.score(learner.images)["score"].tolist() == [0] * count


def test_the_windows_of_an_image_fall_together():
    assert (fit_of(10, repeats=3).cross_scores()["score"] == 1).all()


def test_the_folds_are_the_same_in_every_call():
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)).mul(255).byte()

    class Mean(Memory):
        def fit(self, images):
            return {"mean": images.float().mean(0)}

        def score(self, fitted, images):
            return (images.float() - fitted["mean"]).square().mean((1, 2, 3))

    learner = Fit(Mean(Config()), torch.device("cpu"), Unit("detector", "good", "whole"), images)
    assert np.array_equal(*(learner.cross_scores()["score"] for _ in range(2)))
