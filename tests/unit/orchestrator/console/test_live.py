"""What is shown of a run while it goes."""

import io
import time

import pytest
from rich.console import Console

from orchestrator.console import live
from orchestrator.console.live import LiveView, bar
from orchestrator.console.result_view import trials_table
from orchestrator.console.time_left import Pace
from orchestrator.execution.executor import Note
from orchestrator.planning.duration import Estimate
from orchestrator.record.events import RungMetrics, RungReached, State, TrialMoved
from orchestrator.record.ledger import fold
from orchestrator.record.state import RunState, TrialState
from tests.helpers.records import measured, opened, trial_plan

NOTES = {
    "stage/a/0": Note(1, 1, "generator/3/level_2"),
    "stage/b/0": Note(2, 10, "generator/8/level_2 step 2/10"),
    "stage/b/1": Note(4, 10, "generator/8/level_2 step 4/10"),
    "stage/c/0": Note(3, 10, "generator/8/level_4 step 3/10"),
    "trial/t/0": Note(1, 2, "3 level_1"),
}


def test_a_stage_that_is_done_counts_before_its_round_has_ended_and_is_not_named_any_more():
    shown = bar("shared stages", "stage", {"stage/c"}, 4, NOTES)
    assert shown.done == 1 + 1 + 0.3
    assert shown.text == "generator/8/level_2 step 2/10; generator/8/level_2 step 4/10"
    assert bar("shared stages", "stage", set(), 0, {}).fraction == 0


def test_a_view_that_fails_says_so_and_disturbs_nothing(monkeypatch):
    monkeypatch.setattr(live, "LINES_EVERY", 0.01)
    printed, looks = io.StringIO(), []

    def state():
        looks.append(0)
        if len(looks) == 1:
            raise KeyError("no such trial")
        return opened_state()

    view = LiveView(Console(file=printed, width=200), [], [], state, dict)
    with view.running():
        deadline = time.monotonic() + 10
        while "has ended" not in printed.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "the view of the run has ended, the run goes on: KeyError: 'no such trial'" in printed.getvalue()


def test_a_view_that_fails_says_so_where_it_is_quiet_too(monkeypatch, capsys):
    monkeypatch.setattr(live, "LINES_EVERY", 0.001)
    states = [KeyError("no such trial")]

    def state():
        if states:
            raise states.pop()
        return opened_state()

    with LiveView(Console(quiet=True), [], [], state, dict).running():
        deadline = time.monotonic() + 10
        while states and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "the view of the run has ended" in capsys.readouterr().err


def opened_state():
    return fold([opened()])


def test_lines_are_of_trials_that_have_ended_and_a_line_a_minute(monkeypatch):
    plans = tuple(trial_plan(key, {"noise": noise}) for key, noise in (("a", 0.05), ("b", 0.1), ("c", 0.2)))
    events = [opened(trials=plans), TrialMoved("a", State.RUNNING), TrialMoved("b", State.RUNNING)]
    events += [RungReached("a", 1000, measured(contrastive=0.9, oracle=0.8)), TrialMoved("a", State.FINISHED)]
    clock, printed = [1000.0], io.StringIO()
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    notes = {"trial/b/0": Note(1, 4, "3 level_1, 900 images/s")}
    states = [fold(events[:1]), fold(events)]
    view = LiveView(Console(file=printed, width=200), ["noise"], [], lambda: states[0], lambda: notes)
    view.print_changes()
    assert printed.getvalue() == ""
    del states[0]
    for seconds in (30.0, 31.0, 60.0):
        clock[0] += seconds
        view.print_changes()
    trial, minute, second = printed.getvalue().splitlines()
    assert trial == "#1 noise=0.05  finished at 100 %  contrastive 0.900  AUROC 0.800  a"
    assert minute.startswith("1.0 min, 1 of 3 trials ended; about ")
    assert minute.endswith("left (at the pace of this launch); #2 3 level_1, 900 images/s")
    assert second.startswith("2.0 min")


@pytest.mark.parametrize(
    ("pace", "estimate", "text"),
    [
        (Pace(0.5, 0.75, 60.0), None, "about 1.0 min left (at the pace of this launch)"),
        (
            Pace(0.5, 0.52, 60.0),
            Estimate(50.0, 140.0, 10.0, 200.0, ""),
            "about 1.6 min left (by the plan's estimate)",
        ),
        (Pace(0.5, 0.52, 60.0), None, "time left not known yet"),
        (Pace(0.5, 1.0, 60.0), None, ""),
    ],
)
def test_time_left_says_what_it_rests_on(pace, estimate, text):
    assert pace.text(estimate) == text


@pytest.mark.parametrize(("width", "lines"), [(60, 2), (80, 1), (120, 1)])
def test_points_of_864_trials_stand_in_few_lines_under_the_names_of_their_keys(width, lines):
    axes = ("batch_size", "weight_decay", "noise", "lambda_structure", "lambda_position", "blocks")
    point = dict(zip(axes, (16, 0.0005, 0.05, 1.0, 0.4, 1), strict=True))
    rung = {1000: RungMetrics({"contrastive": 0.5, "oracle": 0.9})}
    trials = {f"{n:012x}": TrialState(f"{n:012x}", point, state=State.FINISHED, rungs=rung) for n in range(864)}
    trials[f"{779:012x}"].rungs = {1000: RungMetrics({"contrastive": 0.7, "oracle": 0.8})}
    out = Console(record=True, width=width, file=io.StringIO())
    out.print(trials_table(RunState(opened("sweep_cifar10"), trials), axes, {}, 30, width))
    printed = out.export_text().splitlines()
    rows = [line for line in printed if line.strip().startswith("#")]
    assert len(rows) == 30 // lines
    assert rows[0].startswith(" #780 0.800       0.700 finished 16 · .0005 · .05 · 1"), "the best first"
    assert len([line for line in printed if " · " in line or ".4 · 1" in line]) <= len(rows) * lines + 5
    assert f"and {864 - len(rows)} more" in printed[-1]
