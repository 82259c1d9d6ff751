"""What a method gets for nothing: one that states no more than it must."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from workloads.data.view import TargetView
from workloads.keys import key
from workloads.learner import Contrasting, Scorer
from workloads.method import FittedMethod
from workloads.scoring.evaluate import score
from workloads.scoring.metrics import contrastive_by_unit
from workloads.scoring.proxies import cut_and_pasted
from workloads.training.checkpoint import load_state, save_state
from workloads.training.distributed import Parallel
from workloads.training.loop import Progress, train
from workloads.units import DataFacts, ImageShape, TrainingCounts, Unit


@dataclass(frozen=True)
class Config:
    seed: int = key(0)
    steps: int = key(3, role="stage")


class Mean(FittedMethod):
    name, Config = "mean", Config

    def fit(self, images):
        return {"mean": images.float().mean(0), "kept": [torch.rand(3)]}

    def score(self, fitted, images):
        return (images.float() - fitted["mean"]).abs().mean((1, 2, 3))


UNIT = Unit("detector", "3", "whole")


def pictures(count, seed):
    return torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def view():
    ids = {"val": [f"v{i}" for i in range(6)], "test": [f"t{i}" for i in range(4)]}
    names = {"val": ["3"] * 6, "test": ["3", "3", "8", "8"]}
    anomalous = np.array([False, False, True, True])
    return TargetView(
        "3", pictures(20, 0), pictures(6, 1), pictures(4, 2), ids=ids, class_names=names, anomalous=anomalous
    )


def test_a_fit_is_a_learner_of_one_step_that_scores_and_is_saved(view, tmp_path) -> None:
    method = Mean(Config())
    learner = method.learner(UNIT, view, {}, Parallel())
    train(learner, Progress(), learner.total_steps, lambda _: view.train[:1], lambda: None, lambda _: None)
    save_state(tmp_path / "state", learner.state())
    scorer = method.scorer(UNIT, view.shape, {}, torch.device("cpu"))
    scorer.load_state(load_state(tmp_path / "state"))
    expected = (view.tested.float() - view.train.float().mean(0)).abs().mean((1, 2, 3)).numpy()
    for made in (learner, scorer):
        np.testing.assert_array_equal(made.score(view.tested)["score"], expected)
    assert scorer.score(view.tested[:0])["score"].shape == (0,)


def test_a_fit_depends_on_the_seed_and_the_target_alone(view) -> None:
    def drawn(seed, unit):
        torch.manual_seed(int(torch.randint(1000, ())))
        return Mean(Config(seed=seed)).learner(unit, view, {}, Parallel()).state()["kept"][0]

    assert torch.equal(drawn(0, UNIT), drawn(0, UNIT))
    assert not torch.equal(drawn(0, UNIT), drawn(1, UNIT))
    assert not torch.equal(drawn(0, UNIT), drawn(0, Unit("detector", "8", "whole")))


def test_a_learner_without_proxies_is_held_against_images_with_a_piece_moved(view) -> None:
    learner = Mean(Config()).learner(UNIT, view, {}, Parallel())
    assert isinstance(learner, Scorer)
    assert not isinstance(learner, Contrasting)
    table = score(learner, learner, view, last=True)
    assert set(table["split"].to_pylist()) == {"test", "val", "cut_and_paste/val"}
    assert set(contrastive_by_unit(table)["3", "score"]) == {"cut_and_paste"}


def test_a_moved_piece_is_the_images_own_and_small() -> None:
    images = pictures(50, 3).repeat(1, 3, 4, 4)
    made = cut_and_pasted(images)
    changed = (made != images).any(1).flatten(1).float().mean(1)
    assert changed.max() < 0.2
    assert (changed > 0).float().mean() > 0.9  # a piece may land on one like it
    assert all(set(new.unique().tolist()) <= set(old.unique().tolist()) for new, old in zip(made, images, strict=True))
    assert torch.equal(made, cut_and_pasted(images))
    assert torch.equal(cut_and_pasted(images[:, :, :1, :1]), images[:, :, :1, :1])


def test_what_is_not_stated_has_a_default() -> None:
    method, shape = Mean(Config()), ImageShape(1, 8, 8)
    assert method.units(["3", "8"]) == [UNIT, Unit("detector", "8", "whole")]
    assert method.stages(["3"]) == method.needs(UNIT) == method.scoring_needs(UNIT) == []
    assert method.cost(UNIT, shape, TrainingCounts(20)) is None
    assert method.stage_config(UNIT) == {"steps": 3}
    assert not list(method.check(DataFacts(shape)))
    assert [name for name, _ in method.check(DataFacts(shape, workers=2))] == ["resources.share"]
    parts = {"a": np.float32([0, 1]), "b": np.float32([1, 1])}
    assert method.combine(parts).tolist() == [0.5, 1]
