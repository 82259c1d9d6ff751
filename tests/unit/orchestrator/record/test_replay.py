"""A recorded launch told in the simulator's terms gives back what it took, at its own size and at others."""

import random
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.planning.simulation import longest_first, simulate
from orchestrator.record.events import Launched, RungMetrics, RungReached, StageEnded, State, TrialMoved
from orchestrator.record.ledger import encode
from orchestrator.record.replay import replay
from tests.helpers.records import opened, trial_plan
from workloads.errors import UserError


def at(second, event):
    return replace(event, time=f"2026-11-01T00:{second // 60:02}:{second % 60:02}+00:00")


def recorded(slots, seconds, stages=(6.0, 4.0), start=10, lead=5, gap=2, starting=3):
    """A ledger of equal starts: `slots` trials at once, `gap` seconds between two of a slot, `starting` in each."""
    events = [at(0, Launched("launch"))]
    ended = start + int(max(longest_first(stages, min(slots, len(stages)))))
    events += [at(ended, StageEnded("unit", str(s), reused=False, seconds=s)) for s in stages]
    free = [ended + lead] * slots
    for n, s in enumerate(seconds):
        slot = free.index(min(free))
        events.append(at(free[slot], TrialMoved(str(n), State.RUNNING)))
        ended = free[slot] + s + starting
        events.append(at(ended, RungReached(str(n), 1000, RungMetrics(train_seconds=s))))
        events.append(at(ended, TrialMoved(str(n), State.FINISHED)))
        free[slot] = ended + gap
    order = {State.RUNNING: 2, State.FINISHED: 1}
    return sorted(events, key=lambda e: (e.time, order[e.state] if isinstance(e, TrialMoved) else 0))


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_replay_at_the_recorded_size_gives_the_recorded_time(slots):
    drawn = random.Random(slots)
    recording = replay(recorded(slots, [drawn.randint(5, 40) for _ in range(9)]))
    assert recording.measured.slots == slots
    assert simulate(recording.load, slots).seconds == pytest.approx(recording.measured.seconds)


def test_a_replay_predicts_another_size_exactly_where_nothing_contends():
    seconds = [20, 20, 15, 15, 10, 10]
    one, three = replay(recorded(1, seconds)), replay(recorded(3, seconds))
    assert simulate(one.load, 3).seconds == pytest.approx(three.measured.seconds)
    assert simulate(three.load, 1).seconds == pytest.approx(one.measured.seconds)


def test_starting_a_trial_is_told_apart_from_training_it():
    load = replay(recorded(2, [20, 10, 30], gap=2, starting=7)).load
    assert sorted(load.trials) == [10, 20, 30]
    assert load.trial_start == 2 + 7


def test_what_lies_between_trials_is_not_lost():
    tight, loose = (replay(recorded(1, [20, 20, 20], gap=gap)) for gap in (0, 4))
    assert loose.measured.seconds - tight.measured.seconds == 8
    assert simulate(loose.load, 3).seconds - simulate(tight.load, 3).seconds == pytest.approx(0)


def test_the_simulate_verb_shows_what_was_measured_beside_what_is_simulated(tmp_path):
    events = [opened(trials=tuple(trial_plan(str(n)) for n in range(3))), *recorded(2, [30, 20, 30])]
    (tmp_path / "run" / "ledger").mkdir(parents=True)
    (tmp_path / "run" / "ledger" / "000001.jsonl").write_text("".join(map(encode, events)))
    words = ["simulate", "run", "--storage", str(tmp_path), "--slots", "1", "--plain"]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    lines = [line.split() for line in found.stdout.splitlines()[1:]]
    assert [line[:2] for line in lines] == [["1", "slots"], ["2", "slots"], ["measured", "2"]]
    assert lines[1][3 + 1 : -2] == lines[2][2:-2]  # all but the waves, which a ledger does not tell


def test_a_launch_that_ended_no_trial_cannot_be_replayed():
    events = [at(0, Launched("launch")), at(5, TrialMoved("a", State.RUNNING))]
    with pytest.raises(UserError, match="ended no trial"):
        replay(events)
