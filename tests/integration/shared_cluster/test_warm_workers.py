"""Warm workers on Ray: few processes serve all tasks, and what fails or is lost costs no other task anything."""

from functools import partial
from pathlib import Path

import psutil
import pytest

from orchestrator.data.split_store import SplitStore
from orchestrator.execution.executor import RungReport
from orchestrator.execution.on_ray import attempts
from orchestrator.execution.on_ray.executor import RayExecutor
from orchestrator.record.paths import RunPaths
from tests.helpers.works import Heard, NoImages, die, die_once, fail, made_stage, made_trial, meet, note

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def warm(cluster, storage):
    """An executor on two slots, whose tasks look at no image. Its workers serve all tests: they have torch by then."""
    executor = RayExecutor()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.execution.on_ray.images.share_images", lambda *_: NoImages())
        with executor.started(SplitStore(RunPaths(str(storage), "run")), "", None):
            yield executor


@pytest.fixture
def executor(warm):
    """It remembers no failure of another test, whose tasks have the same names."""
    warm.failures.clear()
    return warm


@pytest.fixture
def losses(monkeypatch):
    """Two workers are as many as a task may lose: each that is lost is a process with torch to start again."""
    monkeypatch.setattr(attempts, "LOSSES", 2)
    return 2


def ends(heard):
    return {task: error for _, task, error in (event for event in heard.events if event[0] == "ended")}


def processes(word):
    """Those below this one whose command line begins with a word."""
    return [process for process in psutil.Process().children(recursive=True) if command_of(process).startswith(word)]


def command_of(process):
    """A process's command line; empty for one that has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one
        return ""


def imports_torch(process):
    return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()


def test_two_processes_with_torch_serve_stages_and_trials_and_relays_have_none(executor, tmp_path):
    seen, heard = partial(note, tmp_path), Heard(stop_at=("a", 500))
    executor.run([made_stage(name, before=partial(meet, tmp_path)) for name in "stuv"], heard, slots=2)

    def hear(event):
        if isinstance(event, RungReport):
            relays = processes("ray::Relay")
            assert 1 <= len(relays) <= 2
            assert not any(map(imports_torch, relays))
        return Heard.hear(heard, event)

    heard.hear = hear
    executor.run([made_trial(name, after=["stage/s"], before=seen) for name in "abcdef"], heard, slots=2)
    pids = {int(line) for line in (tmp_path / "pids").read_text().split()}
    assert len(pids) == 2
    assert set(ends(heard).values()) == {""}
    assert ("reported", "a", 1000) not in heard.events
    assert [event for event in heard.events if event[:2] == ("reported", "b")] == [
        ("reported", "b", rung) for rung in (250, 500, 1000)
    ]


def test_a_stage_fails_alone_and_its_error_arrives_whole(executor):
    heard = Heard()
    failing = made_stage("s", before=partial(fail, "an image is damaged"))
    executor.run([failing, made_stage("t", after=["stage/s"]), made_stage("u")], heard, slots=2)
    executor.run([made_trial("a", after=["stage/t"]), made_trial("b", after=["stage/u"])], heard, slots=2)
    error = "an image is damaged\n  where: the third image\n  fix: look at it"
    assert ends(heard)["stage/s"] == error
    assert ends(heard)["stage/t"] == f"stage/s failed: {error}"
    assert ends(heard)["trial/a"].startswith("stage/t failed")
    assert ends(heard)["stage/u"] == ends(heard)["trial/b"] == ""


def test_a_trial_whose_worker_is_killed_begins_once_more_and_the_others_hear_nothing(executor, tmp_path):
    heard = Heard()
    tasks = [made_trial("a", before=partial(die_once, tmp_path, 500)), made_trial("b")]
    executor.run(tasks, heard, slots=2)
    of_a = [event for event in heard.events if event[1] in ("a", "trial/a")]
    again = [("started", "trial/a"), *(("reported", "a", rung) for rung in (250, 500, 1000)), ("ended", "trial/a", "")]
    assert [event for event in of_a if event[0] != "ended"][:2] == again[:2]
    assert of_a[2:] == again
    assert heard.events.count(("started", "trial/b")) == 1


def test_a_stage_that_loses_every_worker_ends_and_says_so(executor, losses):
    heard = Heard()
    executor.run([made_stage("s", before=die), made_stage("t")], heard, slots=2)
    assert f"{losses} workers were lost one after the other" in ends(heard)["stage/s"]
    assert ends(heard)["stage/t"] == ""


def test_a_trial_that_loses_every_worker_ends_and_says_so(executor, losses):
    heard = Heard()
    executor.run([made_trial("a", before=die), made_trial("b")], heard, slots=2)
    assert f"{losses} workers were lost one after the other" in ends(heard)["trial/a"]
    assert ends(heard)["trial/b"] == ""
