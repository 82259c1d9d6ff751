"""KLODS on a trained flow: one flow for many ways to score, groups of images, and what the flow's failures do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.klods import DETECTOR, FLOW, SMALL, noise, smooth, trained_flow
from workloads.data.view import TargetView
from workloads.errors import UserError
from workloads.flows.method import Flows
from workloads.flows.scorer import FlowScorer
from workloads.keys import config_problems
from workloads.klods.flow_config import flow_config
from workloads.klods.groups import normal_groups
from workloads.klods.method import Klods
from workloads.learner import GroupDetector
from workloads.scoring.metrics import auroc
from workloads.training.checkpoint import load_state, save_state
from workloads.training.distributed import Parallel
from workloads.units import DataFacts, ImageShape, TrainingCounts, Unit


@pytest.fixture(scope="module")
def flow():
    return trained_flow()


def detector(flow, config=SMALL):
    view = TargetView("3", smooth(64, 0), smooth(25, 1))
    return Klods(config).learner(DETECTOR, view, {str(FLOW): flow}, Parallel())


def test_trials_share_a_flow_unless_its_own_keys_differ():
    stage = Klods(SMALL).stage_config(FLOW)
    for changed in ({"split": "channels"}, {"level": "z1"}, {"regulariser": "ledoit_wolf"}, {"group_sizes": (1, 2)}):
        assert Klods(replace(SMALL, **changed)).stage_config(FLOW) == stage
    assert Klods(replace(SMALL, steps=3)).stage_config(FLOW) != stage


def test_noise_is_told_from_the_normal_class_in_groups(flow):
    learner = detector(flow)
    assert isinstance(learner, GroupDetector)
    found = learner.score_groups(smooth(25, 1), smooth(50, 2), {"test": noise(40, 3), "out/few": noise(3, 4)})
    normal, odd = found.normal["klods_train/5"], found.anomalous["test"]["klods_train/5"]
    assert (len(normal), len(odd), len(found.held_out["klods_train/5"])) == (10, 8, 5)
    assert auroc(np.concatenate([normal, odd]), np.repeat([0, 1], [10, 8])) == 1
    assert set(found.anomalous["out/few"]) == {part for part in found.normal if part.endswith("/1")}
    assert len(found.anomalous["out/few"]["god_2ks/1"]) == 3


def test_a_single_image_is_a_group_of_one(flow):
    learner = detector(flow)
    alone = learner.score(smooth(50, 2))
    found = learner.score_groups(smooth(25, 1), smooth(50, 2), {}).normal
    for part, scores in alone.items():
        np.testing.assert_allclose(np.sort(scores), np.sort(found[part]), rtol=1e-5)
    assert np.array_equal(Klods(SMALL).combine(alone), alone["klods_prior/1"])


@pytest.mark.parametrize("part", ["complexity", "complexity_only"])
def test_input_complexity_of_a_group_is_the_mean_of_what_a_flow_gives_its_images(flow, part):
    own = FlowScorer(flow_config(SMALL), torch.device("cpu"))
    own.load_state(flow)
    images, rows = own.score(smooth(50, 2))[part], normal_groups(50, 5, SMALL.group_seed)
    found = detector(flow, replace(SMALL, group_score=part)).score_groups(smooth(25, 1), smooth(50, 2), {}).normal
    np.testing.assert_allclose(found[f"{part}/5"], images[rows].mean(1), rtol=1e-5)
    np.testing.assert_allclose(np.sort(found[f"{part}/1"]), np.sort(images), rtol=1e-5)
    assert np.array_equal(Klods(replace(SMALL, group_score=part)).combine(found), found[f"{part}/5"])


def test_anomalous_groups_may_hold_normal_images(flow):
    mixed = replace(SMALL, contamination=0.4)
    found = detector(flow, mixed).score_groups(smooth(25, 1), smooth(50, 2), {"test": noise(40, 3)})
    normal, odd = found.normal["klods_train/5"], found.anomalous["test"]["klods_train/5"]
    assert (len(normal), len(odd)) == (5, 8)  # half of the normal images are kept to be mixed in, three a group
    assert (len(found.normal["god_2ks/1"]), len(found.anomalous["test"]["god_2ks/1"])) == (50, 40)  # one is pure
    assert auroc(np.concatenate([normal, odd]), np.repeat([0, 1], [5, 8])) > 0.9
    assert "anomalous groups hold 40% anomalies" in Klods(mixed).remarks()


def test_a_detector_needs_less_memory_than_training_its_flow():
    images = ImageShape(1, 8, 8), TrainingCounts(64)
    method = Klods(SMALL)
    assert 4 * 64 * 64 < method.cost(DETECTOR, *images).bytes < method.cost(FLOW, *images).bytes
    assert (
        method.cost(FLOW, *images).bytes == Flows(flow_config(SMALL)).cost(Unit("detector", "3", "flow"), *images).bytes
    )


def test_a_saved_detector_scores_as_the_learner_did(flow, tmp_path):
    learner = detector(flow)
    save_state(tmp_path / "unit", {"learner": learner.state()})
    method = Klods(SMALL)
    scorer = method.scorer(DETECTOR, ImageShape(1, 8, 8), {str(FLOW): flow}, torch.device("cpu"))
    scorer.load_state(load_state(tmp_path / "unit")["learner"])
    for part, scores in scorer.score(smooth(9, 5)).items():
        np.testing.assert_array_equal(scores, learner.score(smooth(9, 5))[part])


def test_made_anomalies_keep_the_density_under_the_prior(flow):
    learner = detector(flow)
    made = learner.contrast()["shift/0.2"]
    assert len(made["klods_train/5"]) == 5
    encoded = learner.encode(smooth(25, 1))
    changed = encoded.correlated(0.2)
    for before, after in zip(encoded.levels, changed.levels, strict=True):
        torch.testing.assert_close(before.flatten(1).norm(dim=1), after.flatten(1).norm(dim=1))
        assert not torch.equal(before, after)


def test_a_group_with_an_image_that_the_flow_fails_on_is_the_most_anomalous(flow):
    learner = detector(flow)
    assert learner.fitted.entropy
    whole = learner.net.forward

    def failing(x):
        terms = whole(x)
        for level in terms.latents:
            level[0] = float("nan")
        return terms

    learner.net.forward = failing
    with pytest.warns(UserWarning, match="1 of 20 images have no finite latents"):
        scores = learner.score_groups(smooth(0, 0), smooth(20, 2), {}).normal
    for part in ("klods_prior/5", "complexity/5"):
        assert sorted(np.isinf(scores[part])) == [False, False, False, True]
    assert np.isfinite(scores["complexity_only/5"]).all()  # no flow is asked


def test_what_cannot_be_scored_is_said_before_a_flow_is_trained():
    bad = replace(SMALL, split="channels", level="z2")
    assert dict(config_problems(bad)) == {}
    assert dict(Klods(bad).check(DataFacts(ImageShape(1, 8, 8))))["split"].startswith("n = 4 vectors of length m = 8")
    assert dict(Klods(replace(bad, split="patches_3")).check(DataFacts(ImageShape(1, 8, 8))))["split"].startswith(
        "patches of 3"
    )
    with pytest.raises(UserError, match="n = 4 vectors of length m = 8"):
        Klods(bad).learner(FLOW, TargetView("3", smooth(20, 0), smooth(5, 1)), {}, Parallel())


@pytest.mark.parametrize(
    ("key", "value"),
    [("hierarchy", "general"), ("outlier_loss", "ratio"), ("score", "ratio"), ("judged_size", 7), ("steps", 0)],
)
def test_every_wrong_key_is_named(key, value):
    assert key in dict(config_problems(replace(SMALL, **{key: value})))
    assert list(config_problems(SMALL)) == []
