"""A damaged ledger goes on from what is whole."""

from pathlib import Path

import pytest

from orchestrator.record.events import Closed, Launched, RungReached, TrialMoved
from orchestrator.record.heartbeat import write_beat
from orchestrator.record.ledger import Ledger, read_events
from orchestrator.record.repair import repair_run
from orchestrator.record.state import Outcome, State
from tests.helpers.records import ledger_at, measured, opened
from workloads.errors import UserError

EVENTS = (
    opened(), Launched("command", "local", "host", 1), TrialMoved("t", State.RUNNING),
    RungReached("t", 500, measured(oracle=0.5)), RungReached("t", 1000, measured(oracle=0.6)),
    TrialMoved("t", State.FINISHED), Closed(Outcome.COMPLETE, 1.0, "t"),
)  # fmt: skip


def damage(file: Path, line: int) -> bytes:
    lines = file.read_bytes().split(b"\n")
    lines[line] = lines[line].replace(b"0.", b"1.").replace(b"running", b"runnign").replace(b"uid", b"uld")
    file.write_bytes(b"\n".join(lines))
    return file.read_bytes()


def test_what_is_whole_is_kept_and_so_is_the_damaged_file(tmp_path):
    """A trial whose last rung is damaged has not ended for sure: the next launch finds the rung on disk."""
    paths, _ = ledger_at(tmp_path, "run", *EVENTS)
    file = paths.ledger / "000001.jsonl"
    before = damage(file, 4)
    with pytest.raises(UserError, match="runs repair"):
        read_events(paths)
    listed = repair_run("run", str(tmp_path), really=False)
    assert file.read_bytes() == before
    assert [line.partition(", line ")[2][:2] for line in listed.dropped] == ["5:", "6:"]
    repaired = repair_run("run", str(tmp_path), really=True)
    assert (repaired.dropped, repaired.kept, repaired.files) == (listed.dropped, 5, listed.files)
    assert Path(repaired.files[0]).read_bytes() == before
    trial = Ledger(paths).state.trials["t"]
    assert (trial.state, list(trial.rungs)) == (State.RUNNING, [500])
    assert repair_run("run", str(tmp_path), really=True).files == []


def test_a_second_repair_keeps_a_second_file(tmp_path):
    paths, _ = ledger_at(tmp_path, "run", *EVENTS)
    kept = set()
    for line in (4, 3):
        damage(paths.ledger / "000001.jsonl", line)
        kept |= set(repair_run("run", str(tmp_path), really=True).files)
    assert len(kept) == len([file for file in kept if Path(file).exists()]) == 2


def test_nothing_is_repaired_whose_question_is_lost_or_whose_launcher_lives(tmp_path):
    paths, _ = ledger_at(tmp_path, "run", *EVENTS)
    write_beat(paths, 10.0)
    with pytest.raises(UserError, match="going on"):
        repair_run("run", str(tmp_path), really=True)
    paths.heartbeat.unlink()
    damage(paths.ledger / "000001.jsonl", 0)
    with pytest.raises(UserError, match="what was asked is not known"):
        repair_run("run", str(tmp_path), really=True)
    with pytest.raises(UserError, match="no ledger to repair"):
        repair_run("other", str(tmp_path), really=True)
