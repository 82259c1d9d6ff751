"""Flows as a workload: which units, what determines the general flow, what a plan costs, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from workloads.flows.config import FlowConfig, of_general
from workloads.flows.method import Flows
from workloads.keys import config_problems
from workloads.registry import method
from workloads.units import GENERAL, DataFacts, ImageShape, TrainingCounts, Unit

COUNTS = TrainingCounts(5000, auxiliary=50_000)
IMAGES = (ImageShape(3, 32, 32), COUNTS)
NONE = FlowConfig(hierarchy="none", from_general=False, score="likelihood")
GENERAL_FLOW, CAT = Unit("flow", GENERAL, "flow"), Unit("detector", "cat", "flow")


def general_config(**changes: Any) -> dict[str, Any]:
    """What the identity of the general flow is made of."""
    return Flows(FlowConfig(**changes)).stage_config(GENERAL_FLOW)


def test_one_general_flow_serves_every_target() -> None:
    flows = method("flow")(FlowConfig())
    assert flows.stages(["cat", "dog"]) == [GENERAL_FLOW]
    assert flows.units(["cat", "dog"]) == [CAT, Unit("detector", "dog", "flow")]
    assert flows.needs(CAT) == [GENERAL_FLOW]
    assert flows.needs(GENERAL_FLOW) == []
    assert (Flows(NONE).stages(["cat"]), Flows(NONE).needs(CAT)) == ([], [])


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 1.0, "lr": 1e-3, "batch_size": 8, "flip": False},
        {"outlier_loss": "ratio", "outlier_weight": 1.0, "outlier_temperature": 1.0, "supervised": True},
        {"score": "final_scale", "complexity_codec": "webp", "from_general": False},
        {"checkpointing": True, "accumulate": 4, "skip_limit": 1},
    ],
)
def test_keys_of_the_targets_flows_share_the_general_flow(changes: dict[str, Any]) -> None:
    one, other = (
        Flows(config).stage_config(GENERAL_FLOW) for config in (FlowConfig(), replace(FlowConfig(), **changes))
    )
    assert one == other


@pytest.mark.parametrize(
    "changes",
    [
        {"general_epochs": 1.0},
        {"general_lr": 1e-3},
        {"general_batch_size": 8},
        {"general_flip": False},
        {"hidden": 64},
        {"kind": "patch"},
        {"weight_decay": 0.0},
        {"warmup_steps": 10},
        {"init_batches": 1},
        {"translate": 0.0},
        {"precision": "bf16"},
        {"seed": 1},
    ],
)
def test_keys_of_the_general_flow_make_another(changes: dict[str, Any]) -> None:
    one, other = (
        Flows(config).stage_config(GENERAL_FLOW) for config in (FlowConfig(), replace(FlowConfig(), **changes))
    )
    assert one != other


def test_the_general_flows_own_config_is_a_good_one() -> None:
    config = replace(FlowConfig(), supervised=True, outlier_loss="ratio", general_lr=1e-3, general_epochs=7.0)
    own = of_general(config)
    assert (own.lr, own.epochs, own.outlier_loss, own.supervised) == (1e-3, 7.0, "none", False)
    assert list(config_problems(own)) == []


def test_steps_and_cost_are_those_of_the_unit() -> None:
    flows = Flows(FlowConfig())
    assert flows.steps(CAT, COUNTS) == 19_531
    assert flows.steps(GENERAL_FLOW, COUNTS) == 195_312
    forward = flows.cost(CAT, *IMAGES).macs / flows.steps(CAT, COUNTS) / 64 / 3
    assert forward == pytest.approx(4.01e9, rel=0.01)
    ratio = Flows(FlowConfig(outlier_loss="ratio"))
    assert ratio.cost(CAT, *IMAGES).macs / flows.cost(CAT, *IMAGES).macs == pytest.approx(7 / 3)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"lr": 0.0, "weight_decay": -1.0, "translate": 1.0}, {"lr", "weight_decay", "translate"}),
        ({"outlier_temperature": float("nan")}, {"outlier_temperature"}),
        ({"supervised": True, "kind": "dense"}, {"supervised"}),
        ({"hierarchy": "none"}, {"from_general", "score"}),
        (
            {"hierarchy": "none", "outlier_loss": "margin", "supervised": True, "score": "general_likelihood"},
            {"from_general", "outlier_loss", "supervised", "score"},
        ),
        ({"batch_size": 1, "init_batches": 1}, {"init_batches"}),
    ],
)
def test_every_problem_of_a_config_is_named(changes: dict[str, Any], keys: set[str]) -> None:
    found = dict(config_problems(replace(FlowConfig(), **changes)))
    assert set(found) == keys


def test_published_and_reduced_configs_have_no_problem() -> None:
    for config in (FlowConfig(), NONE, FlowConfig(score="final_scale", outlier_loss="ratio", supervised=True)):
        assert list(config_problems(config)) == []


def test_data_that_does_not_fit_is_refused_before_any_work() -> None:
    def keys(config: FlowConfig, **facts: Any) -> list[str]:
        data = replace(DataFacts(ImageShape(3, 32, 32), pooled=True, auxiliary=True), **facts)
        return [key for key, _ in Flows(config).check(data)]

    assert keys(FlowConfig(supervised=True)) == []
    small, wide = ImageShape(3, 28, 28), ImageShape(3, 32, 64)
    assert keys(FlowConfig(), shape=small) == ["data.side"]
    assert keys(FlowConfig(), shape=wide) == ["data.side"]
    assert keys(FlowConfig(kind="patch", patch=7), shape=small) == ["patch"]
    assert keys(FlowConfig(), auxiliary=False) == ["data.auxiliary"]
    assert keys(NONE, auxiliary=False) == []
    assert keys(FlowConfig(supervised=True), pooled=False) == ["supervised"]


SHARED = DataFacts(ImageShape(3, 32, 32), workers=3, auxiliary=True)


def test_any_number_of_workers_up_to_the_batch_can_share_it() -> None:
    assert list(Flows(FlowConfig()).check(SHARED)) == []
    few = FlowConfig(batch_size=2)
    assert [key for key, _ in Flows(few).check(SHARED)] == ["batch_size"]


def test_the_config_names_the_detectors_score() -> None:
    flows = Flows(FlowConfig(score="final_scale"))
    assert flows.judged_parts() == ("final_scale",)
    parts = {"ratio": np.zeros(2, np.float32), "final_scale": np.ones(2, np.float32)}
    assert flows.combine(parts) is parts["final_scale"]


def test_remarks_say_what_else_was_seen() -> None:
    assert Flows(FlowConfig()).remarks() == []
    said = " ".join(Flows(FlowConfig(outlier_loss="ratio", supervised=True, from_general=False)).remarks())
    assert all(words in said for words in ("outliers (ratio loss)", "class labels", "from scratch"))
