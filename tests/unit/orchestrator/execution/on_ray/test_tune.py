"""What ASHA decides in a resumed sweep: the ledger's rungs count, whoever comes first now."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from upath import UPath

from orchestrator.execution.on_ray.tune import PastTrial, scheduler_of
from orchestrator.planning.options import Options, load_space
from orchestrator.planning.plan import make_plan
from orchestrator.record.events import RungReached
from tests.helpers.records import measured


@pytest.fixture
def plan(tmp_path):
    loaded, space, preset = load_space("sweep_digits", Options(preset="smoke", points=4, scheduler="asha"))
    return make_plan(loaded.name, loaded.doc, space, preset, run=None, storage=UPath(tmp_path), cpus=2)


def ledger_with(*rungs):
    events = [RungReached(trial, rung, measured(contrastive=value)) for trial, rung, value in rungs]
    trials = dict.fromkeys(trial for trial, _, _ in rungs)
    return SimpleNamespace(events=events, state=SimpleNamespace(trials=trials))


def decision(asha, budget, value):
    trial = PastTrial("new")
    asha.on_trial_add(None, trial)
    return asha.on_trial_result(None, trial, {"budget": budget, "contrastive": value})


@pytest.mark.parametrize(("value", "expected"), [(0.7, TrialScheduler.STOP), (0.95, TrialScheduler.CONTINUE)])
def test_a_new_trial_is_compared_with_those_of_earlier_launches(plan, value, expected):
    first = plan.rungs[0]
    past = ledger_with(("a", first, 0.9), ("b", first, 0.6), ("c", first, 0.8))
    assert decision(scheduler_of(plan, past), first, value) == expected
    assert decision(scheduler_of(plan, ledger_with()), first, value) == TrialScheduler.CONTINUE


@pytest.mark.parametrize(("value", "expected"), [(3.9, TrialScheduler.STOP), (3.1, TrialScheduler.CONTINUE)])
def test_bits_per_dim_are_better_the_lower_they_are(tmp_path, value, expected):
    options = Options(preset="smoke", points=4, scheduler="asha", select_by="likelihood", set=["batch_size=16"])
    loaded, space, preset = load_space("flow_digits", options)
    made = make_plan(loaded.name, loaded.doc, space, preset, run=None, storage=UPath(tmp_path), cpus=2)
    past = ledger_with(*((trial, made.rungs[0], 0.5) for trial in "abc"))
    for event, bits in zip(past.events, (3.2, 3.5, 3.8), strict=True):
        event.metrics.numbers["bits_per_dim"] = bits
    asha, trial = scheduler_of(made, past), PastTrial("new")
    asha.on_trial_add(None, trial)
    result = {"budget": made.rungs[0], "contrastive": 0.5, "bits_per_dim": value}
    assert asha.on_trial_result(None, trial, result) == expected


def test_without_rungs_to_compare_at_there_is_no_asha(plan):
    fifo = plan.space.model_copy(update={"scheduler": plan.space.scheduler.model_copy(update={"kind": "fifo"})})
    changed = SimpleNamespace(space=fifo, rungs=plan.rungs)
    assert type(scheduler_of(changed, ledger_with())) is FIFOScheduler
