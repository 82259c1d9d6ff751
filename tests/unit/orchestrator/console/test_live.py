"""What is shown of a run while it goes."""

import io
import time

from rich.console import Console

from orchestrator.console import live
from orchestrator.console.live import LiveView, bar
from orchestrator.execution.executor import Note
from orchestrator.record.ledger import fold
from tests.helpers.records import opened

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


def opened_state():
    return fold([opened()])
