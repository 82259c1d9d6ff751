"""One sweep measured at one, two and three slots, each time from nothing, and predicted from each of the others."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from orchestrator.clusters.session import QUIET
from orchestrator.planning.simulation import simulate
from orchestrator.record.ledger import read_events
from orchestrator.record.paths import RunPaths
from orchestrator.record.replay import replay
from tests.helpers.launches import nodes_of_one_cpu, request_for, run
from tests.helpers.waiting import register
from workloads.registry import WORKLOADS

SLOTS = (1, 2, 3)


@pytest.fixture
def four_waiting_nodes(monkeypatch):
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {
        "env_vars": QUIET | {"PYTHONPATH": path},
        "worker_process_setup_hook": "tests.helpers.waiting.register",
    }
    monkeypatch.setenv("RAY_worker_niceness", "0")  # of 15, where whatever else runs here would slow them down
    register()
    with nodes_of_one_cpu(4) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
        yield
        ray.shutdown()
    del WORKLOADS["waiting"]


def recorded(storage, slots):
    """Four trials, some twice as long as the others, and six stages, on so many slots."""
    settings = ["detector_epochs=2.0", "generator_epochs=2.0"]
    asked = request_for(storage, name="waits", points=4, scheduler="fifo", set=settings)
    space = asked.space.model_copy(update={"workload": "waiting"})
    code, said = run(replace(asked, space=space, slots=slots))
    assert code == 0, said
    return replay(read_events(RunPaths(str(storage), "waits")))


def with_starts_of(load, other):
    """Processes start by CPU work: nodes that share one machine's cores are slower at it the more of them start."""
    return replace(load, start=other.start, round_start=other.round_start, trial_start=other.trial_start)


def test_a_sweep_recorded_in_one_process_is_simulated_as_long_as_it_took(tmp_path):
    code, said = run(request_for(tmp_path, name="short", executor="local", points=2, scheduler="fifo"))
    assert code == 0, said
    recording = replay(read_events(RunPaths(str(tmp_path), "short")))
    assert recording.measured.slots == 1
    assert simulate(recording.load, 1).seconds == pytest.approx(recording.measured.seconds, rel=0.15)


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_recorded_at_one_size_predicts_what_it_takes_at_others(four_waiting_nodes, tmp_path):
    found = {}
    for slots in SLOTS:
        (tmp_path / str(slots)).mkdir()
        found[slots] = recorded(tmp_path / str(slots), slots)
        assert found[slots].measured.slots == slots
    show(found)
    for slots, recording in found.items():
        for other in found.values():
            load = with_starts_of(other.load, recording.load)
            assert simulate(load, slots).seconds == pytest.approx(recording.measured.seconds, rel=0.15)


def show(found):
    """Measured seconds, and those simulated from each recording as it is, and with the starts of the size."""
    for slots, recording in found.items():
        seconds = recording.measured.seconds
        print(f"\n{slots} slots: measured {seconds:.0f} s, a trial's start {recording.load.trial_start:.0f} s")
        for at, other in found.items():
            alone = simulate(other.load, slots).seconds
            placed = simulate(with_starts_of(other.load, recording.load), slots).seconds
            told = f"{alone:.0f} s ({alone / seconds - 1:+.0%}), with starts as at {slots}: {placed:.0f} s"
            print(f"  from {at} slots: {told} ({placed / seconds - 1:+.0%})")
