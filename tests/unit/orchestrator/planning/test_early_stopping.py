"""Successive halving decides as Ray Tune's ASHA does, in whatever order trials arrive."""

import random
from dataclasses import dataclass

import pytest

from orchestrator.planning.early_stopping import Decision, OncePerPoint, SuccessiveHalving


@dataclass(frozen=True)
class Trial:
    trial_id: str


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize(("rungs", "eta"), [((340, 1000), 3), ((111, 333, 1000), 3), ((125, 250, 500, 1000), 2)])
@pytest.mark.parametrize("seed", range(5))
def test_every_decision_is_that_of_rays_asha(rungs, eta, mode, seed):
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    lot = random.Random(seed)
    asha = ASHAScheduler(
        time_attr="budget", metric="value", mode=mode, max_t=1000, grace_period=rungs[0], reduction_factor=eta
    )
    rule = SuccessiveHalving(rungs, eta, mode)
    waiting = {f"trial-{number}": list(rungs[:-1]) for number in range(40)}
    for name in waiting:
        asha.on_trial_add(None, Trial(name))
    decisions = []
    while waiting:
        name = lot.choice(sorted(waiting))
        rung, value = waiting[name].pop(0), lot.choice([lot.random(), 0.5])  # equal values, too
        expected = asha.on_trial_result(None, Trial(name), {"budget": rung, "value": value})
        decision = rule.decide(name, rung, value)
        assert (decision == Decision.STOP) == (expected == TrialScheduler.STOP)
        decisions.append(decision)
        if decision == Decision.STOP or not waiting[name]:
            del waiting[name]
    assert set(decisions) == {Decision.STOP, Decision.CONTINUE}


def test_the_last_rung_stops_nobody_and_an_undefined_value_is_not_compared():
    rule = SuccessiveHalving((340, 1000), 3, "max")
    assert [rule.decide("a", 340, 0.9), rule.decide("b", 340, None)] == [Decision.CONTINUE] * 2
    assert rule.decide("c", 1000, 0.0) == Decision.CONTINUE
    assert rule.values == {340: {"a": 0.9}}


def test_a_trial_that_was_promoted_is_not_asked_again():
    rule = SuccessiveHalving((340, 1000), 3, "max")
    for name, value in (("a", 0.5), ("b", 0.9), ("c", 0.9)):
        rule.decide(name, 340, value)
    assert rule.decide("a", 340, 0.5) == Decision.CONTINUE
    assert rule.decide("d", 340, 0.5) == Decision.STOP


def test_a_seed_that_fails_settles_its_point_at_once():
    """What is read from a ledger after a kill is decided in the order that it was decided in."""
    together = OncePerPoint(SuccessiveHalving([100, 1000], 2, "max"), 2, lambda trial: trial[0])
    assert together.decide("a1", 100, 0.5) == Decision.WAIT
    together.begin("a2", failed=True)
    assert together.decisions == {("a", 100): Decision.CONTINUE}
