"""Analyses of tiny trained flows: numbers with a meaning, pictures, and configs without a general flow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tests.helpers.learners import GENERAL_FLOW, TARGET, TINY, general_flow, noise, run, target_flow, view
from workloads.analyses import analyse
from workloads.data.view import TargetView
from workloads.flows.analyses.correlation import ANOMALOUS, NORMAL, ranked, scatter
from workloads.flows.analyses.samples import to_bytes
from workloads.flows.config import FlowConfig
from workloads.flows.method import Flows
from workloads.learner import Fitted

ALONE = replace(TINY, hierarchy="none", from_general=False, score="likelihood")


def trained(config: FlowConfig, steps: int = 2) -> tuple[TargetView, Fitted]:
    given = view()
    general = general_flow(config, given).artifact() if config.hierarchy == "general" else None
    learner = target_flow(config, given, general)
    logs = run(learner, TARGET, given.train, range(steps))
    history: list[Any] = [{"step": step, **row} for step, row in enumerate(logs)]
    tested = replace(
        given,
        test=torch.cat([noise(10, 5, high=64), noise(10, 6)]),
        anomalous=np.r_[np.zeros(10, bool), np.ones(10, bool)],
        out={"noise": noise(5, 7)},
    )
    return tested, Fitted(
        artifacts={} if general is None else {str(GENERAL_FLOW): general},
        states={str(TARGET): learner.state()},
        histories={str(TARGET): history, str(GENERAL_FLOW): []},
    )


def test_a_flow_that_is_still_the_general_one_ranks_images_exactly_alike() -> None:
    finding = analyse(Flows(TINY), "correlation", *trained(TINY, steps=0))
    assert set(finding.numbers) == {f"rank_correlation/{name}" for name in ("all", "normal", "anomalous", "noise")}
    assert all(value == pytest.approx(1) for value in finding.numbers.values())
    picture = finding.pictures["likelihoods"]
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


def test_a_rank_correlation_is_undefined_for_a_constant_and_turns_with_its_sign() -> None:
    x = np.arange(5.0)
    assert ranked(x, np.exp(x)) == pytest.approx(1)
    assert ranked(x, -(x**3)) == pytest.approx(-1)
    assert ranked(x, np.ones(5)) is None
    assert ranked(x[:1], x[:1]) is None


def test_the_scatter_shows_both_groups_where_they_are() -> None:
    x, y = np.linspace(0, 1, 50), np.r_[np.full(25, 1.0), np.full(25, 0.0)]
    picture = scatter(x, y, y == 0)
    for colour, upper in ((NORMAL, True), (ANOMALOUS, False)):
        rows, columns = np.nonzero((picture == [round(255 * part) for part in to_rgb(colour)]).all(2))
        rows = rows[columns > 100]  # beside the legend, which is in a corner
        assert len(rows) > 100
        assert (rows.mean() < len(picture) / 2) == upper
    assert scatter(x[:0], y[:0], y[:0] == 0).shape == picture.shape


def test_samples_of_both_flows_are_drawn_below_real_images() -> None:
    finding = analyse(Flows(TINY), "samples", *trained(TINY))
    assert set(finding.numbers) == {"outside/flow", "outside/general"}
    assert all(0 <= value <= 1 for value in finding.numbers.values() if value is not None)
    assert finding.pictures["samples"].shape[0] > 5 * 64
    assert set(analyse(Flows(ALONE), "samples", *trained(ALONE)).numbers) == {"outside/flow"}


def test_samples_become_bytes_whatever_they_are() -> None:
    x = torch.tensor([-0.5, -0.498, 0.4999, 7.0, -7.0, float("nan"), float("inf")])
    assert to_bytes(x).tolist() == [0, 0, 255, 255, 0, 0, 255]


def test_curves_hold_what_was_logged_and_a_flow_alone_has_no_general_one() -> None:
    finding = analyse(Flows(TINY), "curves", *trained(TINY))
    (line,) = [points for title, points in finding.curves["bits_per_dim"].items() if title.startswith("training")]
    assert [step for step, _ in line] == [0, 1]
    assert finding.numbers["flow/bits_per_dim"] == line[-1][1]
    assert finding.numbers["flow/skipped"] == 0
    assert finding.numbers["general/bits_per_dim"] is None
    assert not any(name.startswith("general") for name in analyse(Flows(ALONE), "curves", *trained(ALONE)).numbers)


def test_without_a_general_flow_there_is_nothing_to_correlate() -> None:
    finding = analyse(Flows(ALONE), "correlation", *trained(ALONE))
    assert set(finding.numbers.values()) == {None}
    assert not finding.pictures
