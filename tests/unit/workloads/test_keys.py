from dataclasses import dataclass

import pytest

from workloads.flows.config import FlowConfig
from workloads.flows.method import Flows
from workloads.keys import NO_AXIS, ROLES_OF_TRIALS, Marks, config_problems, key, keys_of, schedule_keys
from workloads.klods.flow_config import KlodsFlowConfig, flow_config
from workloads.mlsad.config import MLSADConfig


@dataclass(frozen=True)
class Config:
    plain: int = 3
    width: int = key(8, role="stage", schedule=True, above=0)
    rates: tuple[float, ...] = key((0.5,), above=0, below=1)
    pictures: int = key(2, role="analysis", low=0)
    pieces: int = key(1, role="execution")
    sizes: tuple[int, ...] = key((1, 2), role="run")

    def problems(self):
        if self.plain > self.width:
            yield "plain", "must be at most width"


def test_marks_are_read_in_the_order_of_the_keys() -> None:
    assert Config().width == 8
    assert keys_of(Config, *ROLES_OF_TRIALS) == ("plain", "width", "rates", "sizes")
    assert keys_of(Config(), *NO_AXIS) == ("pictures", "pieces", "sizes")
    assert schedule_keys(Config) == ("width",)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"width": 0, "plain": -1}, ("width", "must be above 0")),
        ({"pictures": -1}, ("pictures", "must be 0 or above")),
        ({"rates": (0.5, 1.0)}, ("rates", "must be in (0, 1)")),
        ({"rates": (0.5, float("nan"))}, ("rates", "must be a finite number")),
        ({"plain": 9}, ("plain", "must be at most width")),
    ],
)
def test_a_value_out_of_its_bounds_is_named_with_them(changes, problem) -> None:
    assert list(config_problems(Config(**changes))) == [problem]
    assert not list(config_problems(Config()))


@pytest.mark.parametrize(
    ("marks", "bounds"),
    [(Marks(low=2), "2 or above"), (Marks(low=0, below=1), "in [0, 1)"), (Marks(below=5), "below 5")],
)
def test_bounds_read_as_mathematics_writes_them(marks, bounds) -> None:
    assert marks.problem(9 if marks.below else 1) == f"must be {bounds}"


def test_what_only_analyses_read_is_marked_so() -> None:
    assert set(keys_of(MLSADConfig, "analysis")) == {
        "quality_steps", "fooling_steps", "fooling_lr", "fooling_pull_away", "map_levels",
    }  # fmt: skip
    assert keys_of(KlodsFlowConfig, "analysis") == ("alpha",)


@pytest.mark.parametrize("config", [MLSADConfig, FlowConfig, KlodsFlowConfig])
def test_keys_that_change_no_trial_make_no_number_incomparable(config) -> None:
    assert not set(schedule_keys(config)) & set(keys_of(config, "analysis", "execution"))


def test_a_stage_of_klods_depends_on_the_keys_of_its_flow() -> None:
    stage, flow = Flows(flow_config(KlodsFlowConfig())).config, keys_of(KlodsFlowConfig, "stage")
    trained = {"epochs", "batch_size", "lr", "flip"}
    assert trained <= set(flow)
    assert not trained & set(keys_of(stage, "stage"))  # there the general flow is the stage
