"""What runs take on disk, and what goes of it."""

import json
import os
import time
from dataclasses import replace

import pytest

from orchestrator.planning.identity import Identity
from orchestrator.record.events import Closed, Outcome, RungReached, State, TrialMoved
from orchestrator.record.heartbeat import launcher_lock, write_beat
from orchestrator.record.ledger import encode
from orchestrator.record.paths import RunPaths
from orchestrator.results.disk import clean, remove_runs, runs_on_disk
from orchestrator.results.evaluation import BASELINE
from tests.helpers.commands import orchestrate
from tests.helpers.records import ledger_at, measured, opened, trial_plan
from workloads.errors import Kind, UserError

WEIGHTS, SCORES, RAY = 1000, 300, 70


def run_at(storage, name="run", outcome=Outcome.COMPLETE, stage="a" * 16, data="d" * 16, **space):
    """The paths of a run of three trials: a winner, one that was beaten, one that was stopped. space: keys of it."""
    plans = tuple(
        trial_plan(key, {"n": n}, stages={"generator": stage}) for n, key in enumerate(("best", "beaten", "cut"))
    )
    event = opened(trials=plans, identity=Identity(data, "c" * 12))
    event = replace(event, space=event.space | {"select_by": "contrastive"} | space)
    events = [event]
    for key, value, state in (("best", 0.9, "FINISHED"), ("beaten", 0.8, "FINISHED"), ("cut", 0.7, "STOPPED")):
        events += [TrialMoved(key, State.RUNNING)]
        events += [RungReached(key, 1000, measured(contrastive=value, oracle=value)), TrialMoved(key, State[state])]
    paths, _ = ledger_at(storage, name, *events, *([Closed(outcome, best="best")] if outcome else []))
    for key in ("best", "beaten", "cut"):
        put(paths.trial(key).units / "3-level_1" / "state", WEIGHTS)
        put(paths.trial(key).scores(1000), SCORES)
    put(paths.folder / "ray" / "file", RAY)
    put(paths.stage(stage) / "state", 10)
    put(paths.data / data[:16] / "shard", 10)
    for key in event.identity.baseline_keys.values():
        put(paths.baselines / key / BASELINE, 10)
    return paths


def aged(storage, hours=2):
    """Everything shared in a storage, as if it had been written before so many hours."""
    then = time.time() - 3600 * hours
    for name in ("data", "stages", "baselines"):
        for path in (storage / name).rglob("*"):
            os.utime(path, (then, then))


def put(path, count):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * count)


def test_sizes_are_told_apart_and_losers_are_counted(tmp_path):
    run_at(tmp_path)
    (run,) = runs_on_disk(str(tmp_path))
    assert (run.name, run.life, run.ended, run.auroc) == ("run", "complete", 3, 0.9)
    assert (run.sizes["weights"], run.sizes["scores"], run.sizes["ray"]) == (3 * WEIGHTS, 3 * SCORES, RAY)
    assert run.losers == 2 * WEIGHTS


def test_losers_weights_go_only_when_asked_and_scores_and_winner_stay(tmp_path):
    paths = run_at(tmp_path)
    listed = clean(str(tmp_path))
    assert (listed.removed, listed.bytes) == (False, 2 * WEIGHTS + RAY)
    assert paths.trial("cut").units.exists()
    assert clean(str(tmp_path), keep_weights=True).bytes == RAY
    assert clean(str(tmp_path), really=True).removed
    (run,) = runs_on_disk(str(tmp_path))
    assert (run.sizes["weights"], run.sizes["scores"], run.losers) == (WEIGHTS, 3 * SCORES, 0)
    assert paths.trial("best").units.exists()
    assert clean(str(tmp_path)).items == []


@pytest.mark.parametrize("outcome", [None, Outcome.INTERRUPTED, Outcome.FAILED])
def test_nothing_of_a_run_that_may_go_on_is_removed(outcome, tmp_path):
    run_at(tmp_path, outcome=outcome)
    removal = clean(str(tmp_path), really=True)
    assert removal.items == []
    assert any("nothing of it goes" in remark for remark in removal.remarks)


def test_a_run_whose_launcher_holds_it_is_left(tmp_path):
    paths = run_at(tmp_path)
    with launcher_lock(paths), pytest.raises(UserError, match="live launcher"):
        clean(str(tmp_path), really=True)
    with launcher_lock(paths), pytest.raises(UserError, match="live launcher"):
        remove_runs(str(tmp_path), ["run"], really=True)
    assert paths.trial("cut").units.exists()


def test_what_is_shared_goes_when_no_run_needs_it(tmp_path):
    kept = run_at(tmp_path, "kept")
    gone = run_at(tmp_path, "gone", stage="b" * 16, data="e" * 16)
    assert remove_runs(str(tmp_path), ["gone"], really=True).removed
    assert not gone.folder.exists()
    assert gone.stage("b" * 16).exists(), "it is shared"
    needed = set(Identity("d" * 16, "c" * 12).baseline_keys.values())
    young = clean(str(tmp_path), keep_weights=True, shared=True)
    assert [item.what for item in young.items] == ["Ray's own files of kept"]
    assert "younger than an hour" in young.remarks[-1], "a launch that starts has stored its images before its ledger"
    aged(tmp_path)
    removal = clean(str(tmp_path), keep_weights=True, shared=True, really=True)
    assert {item.what for item in removal.items} > {"shared stage that no run needs", "stored images that no run needs"}
    assert [p.name for p in kept.stages.iterdir()] == ["a" * 16]
    assert [p.name for p in kept.data.iterdir()] == ["d" * 16]
    assert {p.name for p in kept.baselines.iterdir()} == needed


def test_nothing_shared_goes_while_a_run_goes_on(tmp_path):
    run_at(tmp_path, "ended")
    write_beat(run_at(tmp_path, "goes_on", outcome=None), 10)
    with pytest.raises(UserError, match="is going on"):
        clean(str(tmp_path), ["ended"], shared=True)


def test_nothing_shared_goes_while_a_launch_has_no_ledger_yet(tmp_path):
    run_at(tmp_path, "ended")
    aged(tmp_path)
    starts = RunPaths(str(tmp_path), "starts")
    starts.folder.mkdir()
    write_beat(starts, 10)
    with pytest.raises(UserError, match="'starts' is going on"):
        clean(str(tmp_path), shared=True)


def test_a_run_that_cannot_be_read_stands_among_the_others_and_can_be_removed(tmp_path):
    run_at(tmp_path, "good")
    broken = run_at(tmp_path, "broken")
    (segment,) = broken.ledger.glob("*.jsonl")
    segment.write_bytes(b"no event\n" + segment.read_bytes())
    plain = clean(str(tmp_path))
    assert {item.what for item in plain.items} == {
        "weights of trials of good that have lost",
        "Ray's own files of good",
    }
    assert "broken cannot be read, nothing of it goes" in plain.remarks[0]
    lives = {run.name: run.life for run in runs_on_disk(str(tmp_path))}
    assert lives == {"good": "complete", "broken": "unreadable"}
    with pytest.raises(UserError):
        clean(str(tmp_path), shared=True)
    assert remove_runs(str(tmp_path), ["broken"], really=True).removed
    assert [run.name for run in runs_on_disk(str(tmp_path))] == ["good"]


def test_what_cannot_have_happened_and_a_space_of_a_later_version_hide_no_other_run(tmp_path):
    run_at(tmp_path, "good")
    impossible = run_at(tmp_path, "impossible")
    (segment,) = impossible.ledger.glob("*.jsonl")
    segment.write_text(segment.read_text() + encode(TrialMoved("nowhere", State.RUNNING)))
    run_at(tmp_path, "later", later=3)
    lives = {run.name: run.life for run in runs_on_disk(str(tmp_path))}
    assert lives == {"good": "complete", "impossible": "unreadable", "later": "unreadable"}
    removal = clean(str(tmp_path))
    assert len(removal.items) == 3, "two losers and Ray's files of the run that can be read"
    assert [remark.partition(" ")[0] for remark in removal.remarks] == ["impossible", "later"]


def test_the_verbs_list_before_they_remove(tmp_path):
    paths = run_at(tmp_path)
    to = ("--storage", tmp_path)
    listed = orchestrate("runs", "ls", *to, COLUMNS="60").stdout
    assert "0.900" in listed
    assert "`runs gc` lists them" in " ".join(listed.split())
    assert "2.0 kB of it of trials that have lost" in orchestrate("runs", "show", "run", *to).stdout
    assert "--yes removes it" in orchestrate("runs", "rm", "run", *to).stdout
    unknown = orchestrate("runs", "rm", "rum", *to)
    assert unknown.returncode == 2
    assert "run" in unknown.stderr
    gone = json.loads(orchestrate("runs", "gc", "--yes", "--json", *to).stdout)
    assert (gone["schema"], gone["removal"]["removed"]) == (1, True)
    assert json.loads(orchestrate("runs", "ls", "--json", *to).stdout)["runs"][0]["losers"] == 0
    assert orchestrate("runs", "gc", *to).stdout == "there is nothing to remove\n"
    assert "removed: " in orchestrate("runs", "rm", "run", "--yes", *to).stdout
    assert not paths.folder.exists()


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("really", [True, False])
def test_a_run_that_goes_on_is_refused_by_its_heartbeat_with_and_without_yes(readable, really, tmp_path):
    paths = run_at(tmp_path, outcome=None)
    write_beat(paths, 10)  # nobody holds its lock: a remote storage has none
    if not readable:
        (segment,) = paths.ledger.glob("*.jsonl")
        segment.write_bytes(b"no event\n" + segment.read_bytes())
    with pytest.raises(UserError, match="is going on") as refused:
        remove_runs(str(tmp_path), ["run"], really=really)
    assert refused.value.kind == Kind.REFUSED
    assert paths.trial("best").units.exists()


def test_a_run_named_twice_is_removed_once(tmp_path):
    paths = run_at(tmp_path)
    (listed,) = runs_on_disk(str(tmp_path))
    gone = remove_runs(str(tmp_path), ["run", "run"], really=True)
    assert (len(gone.items), gone.bytes) == (1, listed.bytes)
    assert not paths.folder.exists()


def test_a_run_whose_folder_is_a_link_is_refused_in_words(tmp_path):
    paths = run_at(tmp_path / "elsewhere")
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "run").symlink_to(paths.folder)
    with pytest.raises(UserError, match="is a link"):
        remove_runs(str(tmp_path / "storage"), ["run"], really=True)
    assert paths.trial("best").units.exists()


def test_an_auroc_that_picked_its_run_is_marked_and_json_has_the_whole_size(tmp_path):
    run_at(tmp_path, "fair")
    run_at(tmp_path, "leaky", select_by="oracle")
    to = ("--storage", tmp_path)
    runs = json.loads(orchestrate("runs", "ls", "--json", *to).stdout)["runs"]
    assert {run["name"]: run["leak"] for run in runs} == {"fair": False, "leaky": True}
    assert all(run["bytes"] == sum(run["sizes"].values()) > 0 for run in runs)
    listed = orchestrate("runs", "ls", *to).stdout
    assert listed.count("0.900*") == 1
    assert "* LEAK of test labels" in listed
    assert "0.900 LEAK of test labels" in orchestrate("runs", "show", "leaky", *to).stdout
    assert "LEAK" not in orchestrate("runs", "show", "fair", *to).stdout
