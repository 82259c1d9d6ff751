"""A precision that is left to the device is settled when a run is opened, and stays what it became."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from orchestrator.execution import continuation
from orchestrator.execution.continuation import settled
from orchestrator.planning.identity import identify
from orchestrator.record.ledger import from_plain, to_plain
from tests.helpers.plans import planned
from tests.helpers.records import opened, trial_plan
from tune_spaces.schema import Space
from tune_spaces.schema.load import load
from tune_spaces.schema.models import stored
from workloads.flows.config import FlowConfig


@pytest.fixture
def machine(monkeypatch):
    """A machine that is fast in this precision."""

    def fast_in(precision):
        monkeypatch.setattr(continuation, "fast", lambda _device: precision)

    return fast_in


def plan(precision):
    return planned("flow_digits", preset="smoke", set=[f"precision={precision}"])


def begun(*spaces):
    """The state of a run, new or of a space."""
    return SimpleNamespace(opening=object() if spaces else None, space=(*spaces, None)[0])


def ids(a_plan):
    """Of the trials and of their stages."""
    digests = dict.fromkeys((*a_plan.targets, "general"), "d")
    return [(trial.id, tuple(trial.stages.values())) for trial in identify(a_plan, "d", digests).trials]


def test_auto_is_stored_as_what_it_became_and_is_part_of_identity(machine):
    machine("bf16")
    opened_as = settled(plan("auto"), begun())
    assert opened_as.space.fixed["precision"] == "bf16"
    assert {instance.config.precision for instance in opened_as.methods} == {"bf16"}
    assert ids(opened_as) == ids(plan("bf16")) != ids(plan("fp32"))


def test_a_run_that_goes_on_keeps_what_it_was_begun_with(machine):
    machine("bf16")
    first = settled(plan("auto"), begun()).space
    machine("fp32")
    assert settled(plan("auto"), begun(first)).space == first
    assert settled(plan("auto"), begun()).space != first


def test_auto_is_no_value_of_an_axis():
    values = load("flow_digits").space.model_dump() | {"preset": "paper", "presets": {}}
    with pytest.raises(ValidationError, match="name fp32 and bf16"):
        Space.model_validate(values | {"axes": {"precision": ("auto", "fp32")}})
    assert Space.model_validate(values | {"axes": {"precision": ("bf16", "fp32")}}).size() == 2


def test_a_run_of_an_earlier_version_with_autocast_is_read():
    event = opened("flow_digits")
    old = dict.fromkeys(("space", "trials"))
    old["space"] = event.space | {"fixed": event.space["fixed"] | {"autocast": True}}
    old["trials"] = (trial_plan(point={"autocast": True}, config={"autocast": True, "lr": 0.1}),)
    read = from_plain({k: v for k, v in to_plain(replace(event, **old)).items() if k != "sha256"})
    assert read.trials == (trial_plan(point={"precision": "bf16"}, config={"precision": "bf16", "lr": 0.1}),)
    assert stored(read.space).config({}) == replace(stored(event.space).config({}), precision="bf16")
    assert isinstance(stored(read.space).config({}), FlowConfig)
