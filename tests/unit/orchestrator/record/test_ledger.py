"""The ledger keeps what happened, refuses what cannot happen, and survives a writer that dies half-way."""

import hashlib
import json
import random
import resource
import shutil
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

import orchestrator
from orchestrator.record.events import (
    AnalysisEnded,
    Closed,
    CodeAccepted,
    Identity,
    Launched,
    Outcome,
    RungMetrics,
    RungReached,
    StageEnded,
    State,
    TrialAdded,
    TrialMoved,
)
from orchestrator.record.heartbeat import launcher_lock
from orchestrator.record.ledger import SUM, Ledger, decode, encode, fold, read_events, segments, to_plain
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import names, open_run
from tests.helpers.files import flip
from tests.helpers.records import ledger_at, measured, opened, trial_plan
from workloads.errors import Kind, UserError

METRICS = RungMetrics(
    numbers={"contrastive": 1 / 3, "auroc/mean": None, "failed_scores": 2},
    train_seconds=1.5,
    macs=1e12,
    seconds={"detector/3/level_4": 0.25},
    levels={"level_4": {"3": 0.5, "8": None}},
    out={"noise": {"all": {"3": 1.0}}},
    proxies={"3/level_4": None},
    not_learned=(("3", "level_4", 0.5),),
    failed={"3": 2},
)
TRIALS = (trial_plan("a", {"noise": 0.1, "levels": [1, 2]}), trial_plan("b", {"noise": 0.0}))
HISTORY = [
    opened(trials=TRIALS),
    Launched("python -m orchestrator launch", host="here", pid=7),
    StageEnded("generator/3/level_2", "k1", reused=False, seconds=2.5, steps=4),
    StageEnded("generator/8/level_2", "k2", reused=True),
    TrialMoved("a", State.RUNNING),
    RungReached("a", 340, METRICS),
    TrialMoved("b", State.RUNNING),
    TrialMoved("b", State.FAILED, "boom ünd \u2028 more"),
    RungReached("a", 1000, measured(contrastive=0.95)),
    TrialMoved("a", State.FINISHED),
    TrialAdded(trial_plan("c", {"noise": 0.2})),
    CodeAccepted(
        Identity("d", "old"),
        Identity("d", "new", {"workloads.mlsad.gan": "m"}, {"torch": "2.6"}, "b"),
        ("workloads.mlsad.gan",),
        ("torch 2.5 -> 2.6",),
        {"k1": "k3"},
    ),
    AnalysisEnded("position", "3", "a"),
    Closed(Outcome.COMPLETE, 65.6, "a"),
]
"""Every kind of event."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(bytes of the segment, the state after so many events)."""
    paths, ledger = ledger_at(tmp_path_factory.mktemp("storage"), "run", *HISTORY)
    (segment,) = segments(paths.ledger)
    return segment.read_bytes(), [fold(ledger.events[:count]) for count in range(len(HISTORY) + 1)]


def with_segment(storage, content):
    paths = RunPaths(str(storage), "run")
    paths.ledger.mkdir(parents=True, exist_ok=True)
    (paths.ledger / "000001.jsonl").write_bytes(content)
    return paths


def test_every_event_is_read_back_as_it_was(tmp_path):
    paths, ledger = ledger_at(tmp_path, "run", *HISTORY)
    assert read_events(paths) == ledger.events
    assert Ledger(paths).state == ledger.state == ledger.snapshot()
    assert ledger.state.trials["a"].metric("contrastive") == 0.95
    assert ledger.state.trials["a"].rungs[340] == METRICS
    assert list(ledger.state.trials) == ["a", "b", "c"]


@pytest.mark.parametrize("first", [State.FINISHED, State.STOPPED])
def test_a_trial_that_is_over_cannot_move_and_nothing_is_written(tmp_path, first):
    paths, ledger = ledger_at(tmp_path, "run", opened(trials=TRIALS), TrialMoved("a", State.RUNNING))
    ledger.append(TrialMoved("a", first))
    with pytest.raises(ValueError, match="cannot go from"):
        ledger.append(TrialMoved("a", State.RUNNING))
    with pytest.raises(ValueError, match="no trial x"):
        ledger.append(TrialMoved("x", State.RUNNING))
    assert read_events(paths) == ledger.events
    assert len(ledger.events) == 3


def test_a_ledger_cut_at_any_byte_tells_a_state_of_before_and_goes_on(tmp_path, written):
    content, states = written
    ends = [at for at, byte in enumerate(content, 1) if byte == ord("\n")]
    drawn = random.Random(0).sample(range(len(content)), 300)
    for cut in sorted({*drawn, *ends, *(end - 1 for end in ends), 0}):
        paths = with_segment(tmp_path, content[:cut])
        whole = sum(end <= cut for end in ends)
        assert fold(read_events(paths)) == states[whole], cut
        if whole:
            ledger = Ledger(paths)
            ledger.append(Launched("again"))
            assert read_events(paths) == ledger.events
            assert len(ledger.events) == whole + 1


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_is_never_believed(written, data):
    content, _ = written
    at = data.draw(st.integers(0, len(content) - 2))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    storage = UPath("memory://damage")
    paths = with_segment(storage, content[:at] + bytes([changed]) + content[at + 1 :])
    with pytest.raises(UserError) as refused:
        read_events(paths)
    line = content[:at].count(b"\n") + 1
    assert refused.value.where.endswith(f"000001.jsonl, line {line}")
    assert refused.value.kind == Kind.ENVIRONMENT


def test_a_later_format_is_refused_by_name():
    line = encode(Launched("x")).replace('"v": 2', '"v": 3').strip()
    with pytest.raises(UserError, match="format 3, and this code reads formats up to 2") as refused:
        decode(line, "ledger/000001.jsonl, line 1")
    assert refused.value.kind == Kind.ENVIRONMENT


def test_a_second_launcher_of_a_run_is_refused_while_the_first_lives(tmp_path):
    paths = RunPaths(str(tmp_path), "run")
    with launcher_lock(paths):
        with pytest.raises(UserError, match="live launcher") as refused, launcher_lock(paths):
            pass
        assert refused.value.kind == Kind.REFUSED
    with launcher_lock(paths):
        pass


def test_on_an_object_store_every_append_is_an_object_that_is_never_written_again():
    paths, _ = ledger_at("memory://bucket/runs", "run", *HISTORY[:4])
    before = {file.name: file.read_bytes() for file in segments(paths.ledger)}
    assert sorted(before) == [f"{number:06d}.jsonl" for number in range(1, 5)]
    ledger = Ledger(paths)
    for event in HISTORY[4:]:
        ledger.append(event)
    after = {file.name: file.read_bytes() for file in segments(paths.ledger)}
    assert before.items() <= after.items()
    assert all(content.count(b"\n") == 1 for content in after.values())
    assert read_events(paths) == ledger.events
    assert names("memory://bucket/runs") == ["run"]
    assert open_run("memory://bucket/runs", "run")[1] == ledger.state


def test_a_torn_segment_that_others_follow_is_damage(tmp_path, written):
    content, _ = written
    paths = with_segment(tmp_path, content[:-20])
    (paths.ledger / "000002.jsonl").write_text(encode(Launched("x")))
    with pytest.raises(UserError, match="damaged") as refused:
        read_events(paths)
    assert refused.value.where.endswith(f"000001.jsonl, line {len(HISTORY)}")


def test_a_line_is_json_with_its_checksum_last():
    values = json.loads(encode(TrialMoved("a", State.RUNNING)))
    assert list(values) == ["v", "time", "event", "trial", "state", "error", "sha256"]
    assert values["event"] == "trial"


def test_a_segment_that_could_not_be_written_leaves_a_gap_that_nothing_is_written_over(monkeypatch):
    paths, ledger = ledger_at("memory://gap/runs", "run", *HISTORY[:3])
    (paths.ledger / "000002.jsonl").unlink()  # as if its writer had gone on after a failed put
    before = {file.name: file.read_bytes() for file in segments(paths.ledger)}
    again = Ledger(paths)
    again.append(HISTORY[3])
    after = {file.name: file.read_bytes() for file in segments(paths.ledger)}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"000004.jsonl"}
    with pytest.raises(FileExistsError, match="another launcher"):
        ledger.append(HISTORY[4])


def test_an_event_that_could_not_be_written_has_not_happened(tmp_path, monkeypatch):
    _, ledger = ledger_at(str(tmp_path), "run", *HISTORY[:4])
    events, state = list(ledger.events), fold(ledger.events)

    def full(segment, line):
        raise OSError("no space left")

    monkeypatch.setattr(Ledger, "extend", staticmethod(full))
    with pytest.raises(OSError, match="no space"):
        ledger.append(HISTORY[4])
    assert (ledger.events, ledger.state) == (events, state)


def test_an_append_onto_a_full_disk_is_undone_and_the_next_event_has_a_line_of_its_own(tmp_path):
    """The system takes a part of the line, as a full disk does, and then refuses the rest."""
    paths, ledger = ledger_at(str(tmp_path), "run", *HISTORY[:4])
    (segment,) = segments(paths.ledger)
    before, limits = segment.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
        with pytest.raises(OSError, match=r"No space left|too large"):
            ledger.append(HISTORY[4])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert segment.read_bytes() == before
    ledger.append(HISTORY[4])
    assert read_events(paths) == ledger.events
    assert segment.read_bytes().startswith(before)


def test_a_damaged_ledger_hides_no_other_run(tmp_path, caplog):
    for name in ("a", "b", "c"):
        ledger_at(str(tmp_path), name, *HISTORY[:3])
    flip(tmp_path / "b" / "ledger" / "000001.jsonl")
    assert {run.name for run in orchestrator.runs(tmp_path)} == {"a", "c"}
    assert "the run b is left out: a line of the ledger is damaged" in caplog.text
    assert "b/ledger/000001.jsonl, line " in caplog.text


def sealed(values):
    """A line with a checksum that fits."""
    text = json.dumps({"v": 2, **values})[:-1]
    return f'{text}{SUM}{hashlib.sha256(text.encode()).hexdigest()}"}}\n'


OPENED = to_plain(HISTORY[0])
SPOILT = [
    sealed({"event": ["trial"]}),
    sealed({"event": "trial", "trial": 3, "state": "running"}),
    sealed({"event": "trial", "trial": "a", "state": ["running"]}),
    sealed({"event": "trial", "trial": "a", "state": "finished"}),
    sealed({"event": "rung", "trial": "a", "rung": "many", "metrics": {}}),
    sealed({"event": "rung", "trial": "unknown", "rung": 1000, "metrics": {}}),
    sealed({"event": "stage", "unit": {}, "key": None, "reused": "perhaps"}),
    sealed({"event": "closed", "outcome": 7}),
    sealed(OPENED | {"space": {}}),
    sealed(OPENED | {"space": [1]}),
    sealed(OPENED | {"trials": {"a": 1}}),
    "[1]\n",
    '"text"\n',
    "[" * 100_000 + "\n",
    "\n",
]


@pytest.mark.parametrize("line", SPOILT, ids=range(len(SPOILT)))
def test_a_value_of_another_type_is_a_planned_error_that_names_run_file_and_line(tmp_path, line):
    paths = with_segment(tmp_path, (encode(HISTORY[0]) + line).encode())
    for opening in (lambda: open_run(str(tmp_path), "run"), lambda: Ledger(paths)):
        with pytest.raises(UserError, match="line of the ledger") as refused:
            opening()
        assert refused.value.where.endswith("run/ledger/000001.jsonl, line 2")
        assert refused.value.kind == Kind.ENVIRONMENT


def test_a_space_without_its_parts_is_a_planned_error(tmp_path):
    with_segment(tmp_path, sealed(OPENED | {"space": {"workload": "mlsad"}}).encode())
    with pytest.raises(UserError, match="the run's space is none"):
        open_run(str(tmp_path), "run")[1].space  # noqa: B018


def test_a_ledger_that_was_removed_gets_no_second_one_without_its_head(tmp_path):
    paths, ledger = ledger_at(str(tmp_path), "run", *HISTORY[:4])
    shutil.rmtree(paths.folder)
    paths.ledger.mkdir(parents=True)
    with pytest.raises(UserError, match="was removed while its run goes on"):
        ledger.append(HISTORY[4])
    assert segments(paths.ledger) == []
