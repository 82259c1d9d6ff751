"""What is said of a flow's latents: choices without anomalies, and where sets of images differ from the prior."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.correlated import neighbours, white
from tests.helpers.klods import DETECTOR, FLOW, SMALL, noise, smooth, trained_flow
from workloads.analyses import analyse
from workloads.data.view import TargetView
from workloads.klods.analyses.latents import moments
from workloads.klods.method import Klods
from workloads.learner import Fitted
from workloads.scoring.metrics import auroc


def trained(**changes):
    values = {
        "target": "3",
        "train": smooth(64, 0),
        "val": smooth(25, 1),
        "test": torch.cat([smooth(20, 2), noise(10, 3)]),
        "anomalous": np.repeat([False, True], [20, 10]),
        "out": {"noise": noise(12, 4)},
    }
    return TargetView(**(values | changes)), Fitted({str(FLOW): trained_flow()})


def test_a_selection_names_every_candidate_and_agrees_with_what_a_sweep_selects_by():
    config = replace(SMALL, group_sizes=(1,), judged_size=1)
    numbers = analyse(Klods(config), "selection", *trained()).numbers
    learner = Klods(config).learner(
        DETECTOR, TargetView("3", smooth(64, 0), smooth(25, 1)), {str(FLOW): trained_flow()}, None
    )
    held_out = learner.score_groups(smooth(25, 1), smooth(0, 0), {}).held_out
    for to in ("klods_prior", "klods_train"):
        both = np.concatenate([held_out[f"{to}/1"], learner.contrast()["shift/0.2"][f"{to}/1"]])
        area = auroc(both, np.repeat([0, 1], 25))
        assert numbers[f"shift/patches_2/sum/none/{to}"] == pytest.approx(area, abs=0.01)
    assert {"shift/groups_4/z2/ledoit_wolf/klods_train", "false_positives/patches_2/z1/none/klods_prior"} <= set(
        numbers
    )
    assert not any(name.startswith("false_positives") and "/none/" not in name for name in numbers)
    assert all(0 <= value <= 1 for value in numbers.values())


def test_too_few_held_out_images_for_a_group_leave_a_selection_empty():
    assert analyse(Klods(SMALL), "selection", *trained(val=smooth(4, 1))).numbers == {}


def test_noise_differs_from_the_prior_more_than_test_normals_do():
    numbers = analyse(Klods(SMALL), "latents", *trained()).numbers
    for name in ("anomalous", "noise"):
        assert numbers[f"variance/z1/{name}"] > 1.3
    assert numbers["variance/z1/normal"] == pytest.approx(1, abs=0.2)
    empty = analyse(Klods(SMALL), "latents", *trained(anomalous=np.zeros(30, bool))).numbers
    assert empty["neighbours/z1/anomalous"] is None


def test_moments_are_those_that_made_latents_have():
    for rho in (0.0, 0.3):
        found = moments(neighbours(1000, (4, 8, 8), rho, 0) * 2 + 3)
        expected = {"variance": 4, "mean_square": 9, "neighbours": rho, "channels": 0}
        assert found == pytest.approx(expected, rel=0.02, abs=0.02)
    mixed = torch.stack([(level := white(1000, (8, 8), 0)), level], dim=1)
    assert moments(mixed)["channels"] == pytest.approx(1)
    assert moments(white(50, (1, 1, 1), 0))["neighbours"] is None
