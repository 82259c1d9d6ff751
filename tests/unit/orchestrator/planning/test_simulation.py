"""The simulator against schedules worked out by hand, bounds that hold for any, and plans of clusters."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning import capacity as packing
from orchestrator.planning.cluster_size import Size, by_one_worker, slots_of
from orchestrator.planning.duration import load_of
from orchestrator.planning.plan import speeds_of
from orchestrator.planning.simulation import Load, asha_shares, critical_path, in_order, longest_first, simulate
from tests.helpers.commands import orchestrate
from tests.helpers.plans import planned
from tune_spaces.schema import Resources
from workloads.errors import UserError

SPEEDS = {"rate": 1e13, "start": 40, "trial_start": 20, "bandwidth": 1e10, "latency": 5e-5}
SECONDS = st.lists(st.floats(0.1, 100), min_size=1, max_size=30)


def test_a_schedule_worked_out_by_hand():
    load = Load(((4.0, 2.0, 2.0),), (5.0, 3.0, 3.0, 1.0), 12.0, start=1.0, round_start=1.0, trial_start=1.0)
    two = simulate(load, 2)
    assert two.stages == 1 + 4  # 4 | 2 + 2
    assert two.trials == 6 + 2  # 6, 2 | 4, 4
    assert two.seconds == 14
    assert two.idle == pytest.approx(1 - (8 + 12) / 28)
    assert simulate(load, 1).seconds == 1 + (1 + 8) + 16
    assert critical_path(load) == 1 + (1 + 4) + 6


@given(SECONDS, SECONDS, st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_no_number_of_slots_beats_the_critical_path_or_wastes_more_than_grahams_bound(stages, trials, slots):
    load = Load((tuple(stages),), tuple(trials), sum(trials), start=2, round_start=3, trial_start=1)
    outcome = simulate(load, slots)
    assert outcome.seconds >= critical_path(load) - 1e-6
    assert outcome.seconds <= simulate(load, 1).seconds + 1e-6
    ideal = max(sum(t + 1 for t in trials) / slots, max(trials) + 1)
    assert outcome.trials <= 2 * ideal + 1e-6
    assert 0 <= outcome.idle < 1


@given(SECONDS, st.integers(1, 10))
@settings(max_examples=60, deadline=None)
def test_longest_first_shares_everything_out_within_four_thirds(costs, workers):
    loads = longest_first(costs, workers)
    assert sum(loads) == pytest.approx(sum(costs))
    ordered = sorted(costs, reverse=True)
    # two of the largest workers + 1 costs share a worker in any schedule
    pair = ordered[workers - 1] + ordered[workers] if len(ordered) > workers else 0
    best = max(sum(costs) / workers, ordered[0], pair)
    assert max(loads) <= best * (4 / 3 + 1e-9) + pair / 3


def test_equal_trials_go_in_waves():
    makespan, waves = in_order([10.0] * 864, 512)
    assert (makespan, waves) == (20.0, 2)
    with pytest.raises(UserError):
        simulate(Load((), (1.0,), 1.0), 0)


def test_asha_by_lot_costs_about_what_the_plan_expects_and_every_share_is_a_rung():
    rungs, eta = [40, 120, 360, 1000], 3
    shares = asha_shares(864, rungs, eta)
    assert set(shares) <= {r / 1000 for r in rungs}
    mean = sum(shares) / len(shares)
    synchronous = (864 * 40 + 288 * 80 + 96 * 240 + 32 * 640) / (
        864 * 1000
    )  # a third of the trials at each rung goes on
    assert synchronous * 0.9 < mean < synchronous * 1.6  # asynchronous halving promotes more early ones
    assert asha_shares(10, rungs, eta) == asha_shares(20, rungs, eta)[:10]


@cache
def plan_for(**options):
    """Of the published sweep; a plan of its whole grid takes a moment, and tests only read it."""
    return planned("sweep_cifar10", **({"gpus_per_worker": 1} | options))


def test_the_published_grid_scales_until_its_waves_end(tmp_path):
    load = load_of(plan_for(search="grid", scheduler="fifo"), SPEEDS)
    assert len(load.trials) == 864
    assert [len(r) for r in load.rounds] == [30]
    assert list(load.trials) == sorted(load.trials, reverse=True)
    times = [simulate(load, n).seconds for n in (1, 8, 64, 512)]
    assert times == sorted(times, reverse=True)
    assert times[0] / times[1] > 7.5
    assert times[0] / times[3] < 512


def test_more_workers_a_trial_shorten_the_critical_path(tmp_path):
    one, ten = (load_of(plan_for(search="grid", scheduler="fifo", workers=w), SPEEDS) for w in (1, 10))
    assert max(ten.trials) < max(one.trials) / 4
    assert critical_path(ten) < critical_path(one)


@pytest.mark.parametrize("share", [1, 0.25])
def test_eight_gpus_are_at_most_eight_times_as_fast_however_they_are_shared(tmp_path, share):
    plan = plan_for(search="grid", scheduler="fifo", gpus_per_worker=share)
    speeds = speeds_of(plan.space.resources, None)[0]
    eight = simulate(load_of(plan, speeds), slots_of(Size(8, 1, 8), plan.space.resources)).seconds
    assert 7.5 < simulate(by_one_worker(plan, speeds), 1).seconds / eight <= 8


@pytest.mark.parametrize(
    ("size", "resources", "slots"),
    [
        (Size(4, 0, 8), {}, 31),  # one CPU is left for reading
        (Size(4, 8, 96), {"gpus_per_worker": 1}, 32),
        (Size(4, 1, 8), {"gpus_per_worker": 0.5}, 8),
        (Size(3, 1, 8), {"gpus_per_worker": 1, "workers": 2}, 1),
        (Size(1, 1, 2), {"gpus_per_worker": 0.25}, 1),
        (Size(2, 1, 4), {"gpus_per_worker": 0.25, "cpus_per_worker": 3}, 2),
        (Size(2, 0, 8), {"workers": 40}, 0),
    ],
)
def test_a_plan_counts_the_slots_of_a_cluster_as_a_launch_does(size, resources, slots):
    assert slots_of(size, Resources(**resources)) == slots
    if slots:
        nodes = [{"CPU": size.cpus, "GPU": size.gpus}] * size.nodes
        assert packing.slots(Resources(**resources), nodes) == slots


def test_the_plan_verb_prints_every_size_and_starts_nothing(tmp_path):
    words = [
        "plan",
        "sweep_cifar10",
        "--search",
        "grid",
        "--gpu",
        "L4",
        "--nodes",
        "1",
        "--nodes",
        "512",
        "--price",
        "2",
    ]
    done = orchestrate(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for expected in ("864 trials", "30 shared stages", "512 nodes", "critical path", "what limits", "assumed"):
        assert expected in done.stdout
    assert not list(tmp_path.iterdir())
