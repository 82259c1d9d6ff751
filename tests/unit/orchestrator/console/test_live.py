"""What is shown of a run while it goes."""

from orchestrator.console.live import bar
from orchestrator.execution.executor import Note

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
