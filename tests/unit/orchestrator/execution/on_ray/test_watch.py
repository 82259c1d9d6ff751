"""Ray's end and silent workers are noticed and told of, without any Ray."""

import os
import signal
import subprocess
import time
from types import SimpleNamespace

import psutil
import pytest
import ray

from orchestrator.execution.on_ray import watch
from orchestrator.execution.on_ray.progress import Notes, Silence
from orchestrator.execution.on_ray.watch import Directory, Watch, end, how_ended, state_of
from workloads.errors import Kind, UserError


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(watch, "LOOK_S", 0.02)


def of(parts, tmp_path, notes=None):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "gcs_server.out").write_text("why it has ended")
    (logs / "worker-1.out").write_text("of no interest")
    return Watch(notes, parts, logs)


def test_the_launcher_hears_at_once_that_ray_has_ended_and_where_its_logs_are(quick, tmp_path):
    over = []
    watched, heard = of([lambda: "gcs_server has ended" if over else ""], tmp_path), []

    def launch():
        with watched.guard(str(tmp_path / "run")), watched.telling(lambda task, text: heard.append(text)):
            over.append(True)
            time.sleep(60)

    with pytest.raises(UserError, match="gcs_server has ended") as raised:
        launch()
    assert raised.value.kind == Kind.ENVIRONMENT
    assert "`resume` goes on" in raised.value.fix
    (kept,) = (tmp_path / "run").iterdir()
    assert str(kept) == raised.value.where
    assert {file.name: file.read_text() for file in kept.iterdir()} == {"gcs_server.out": "why it has ended"}
    assert heard == ["gcs_server has ended; the launch ends"]


def test_whatever_comes_of_rays_end_is_told_in_our_words(tmp_path):
    watched = of([lambda: "raylet has ended"], tmp_path)
    watched.end()
    watched.ended = ""
    with pytest.raises(UserError, match="raylet has ended"), watched.guard(str(tmp_path / "run")):
        raise ConnectionError("of Ray, pages long")


def test_ctrl_c_stays_what_it_is_while_ray_is_there(quick, tmp_path):
    watched = of([lambda: ""], tmp_path)
    with pytest.raises(KeyboardInterrupt), watched.guard(str(tmp_path)):
        raise KeyboardInterrupt
    watched.end()


def test_how_a_process_has_ended_is_said():
    code = SimpleNamespace(poll=lambda: None)
    assert how_ended("raylet", code) == ""
    code.poll = lambda: -9
    assert how_ended("raylet", code) == "a process of Ray's, raylet, has ended (killed by SIGKILL)"
    code.poll = lambda: 1
    assert "with exit code 1" in how_ended("raylet", code)


def test_a_directory_that_is_away_for_a_moment_is_none_that_has_gone(monkeypatch):
    directory = Directory("127.0.0.1:9")
    assert directory() == ""
    monkeypatch.setattr(watch, "UNREACHED_S", 0.0)
    assert "has not answered for" in directory()


def test_a_worker_that_beats_no_more_is_silent_and_one_that_rests_is_not():
    notes = Notes()
    notes.beat("trial/a/0", 7, "host", "node")
    notes.beat("trial/b/0", 8, "host", "node")
    notes.rest("trial/b/0", 9)  # another attempt's end
    assert notes.silent(60) == {}
    assert notes.silent(-1).keys() == {"trial/a/0", "trial/b/0"}
    notes.rest("trial/b/0", 8)
    assert notes.silent(-1).keys() == {"trial/a/0"}


def test_a_hung_worker_is_told_of_and_then_ended(monkeypatch, tmp_path):
    """The process that hangs is called as Ray calls its workers."""
    words = ["bash", "-c", "exec -a ray::WarmWorker.advance sleep 60"]
    process = subprocess.Popen(words)
    process.send_signal(signal.SIGSTOP)
    heard, forgotten = [], []
    silences = [
        {"trial/a/0": Silence(61.0, process.pid, "host", "here")},
        {"trial/a/0": Silence(301.0, process.pid, "host", "here")},
    ]
    notes = SimpleNamespace(silent=SimpleNamespace(remote=lambda seconds: silences.pop(0)))
    notes.rest = SimpleNamespace(remote=lambda key, pid: forgotten.append(key))
    monkeypatch.setattr(ray, "get", lambda value, timeout: value)
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "here", "Alive": True}])
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "here"))
    watched = of([lambda: ""], tmp_path)
    watched.end()
    watched.notes = notes
    try:
        deadline = time.monotonic() + 10
        while state_of(process.pid) != "stopped":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with watched.telling(lambda task, text: heard.append((task, text))):
            watched.look_at_workers()
            watched.look_at_workers()
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
    name = f"process {process.pid} on host"
    assert heard == [
        ("trial/a", f"its worker has been silent for 61 s ({name} is stopped)"),
        ("trial/a", f"its worker was silent for 301 s and is ended ({name})"),
    ]
    assert forgotten == ["trial/a/0"]


def test_a_worker_that_cannot_be_asked_about_hides_no_other(monkeypatch, tmp_path):
    """One node is gone, one worker may not be looked at; the third is told of."""
    heard, forgotten = [], []
    silences = {f"trial/{name}/0": Silence(61.0, pid, "host", node)
                for name, pid, node in (("a", 1, "gone"), ("b", 2, "here"), ("c", 3, "here"))}  # fmt: skip
    notes = SimpleNamespace(silent=SimpleNamespace(remote=lambda seconds: silences))
    notes.rest = SimpleNamespace(remote=lambda key, pid: forgotten.append(key))
    monkeypatch.setattr(ray, "get", lambda value, timeout: value)
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "gone", "Alive": False}, {"NodeID": "here", "Alive": True}])

    def asked(silence, _question):
        if silence.pid == 2:
            raise psutil.AccessDenied(2)
        return "stopped"

    monkeypatch.setattr(watch, "on_node", asked)
    watched = of([lambda: ""], tmp_path)
    watched.end()
    watched.notes = notes
    with watched.telling(lambda task, text: heard.append(task)):
        watched.look_at_workers()
    assert heard == ["trial/c"]
    assert forgotten == ["trial/a/0"]


def test_a_process_that_is_none_of_rays_is_never_ended():
    assert state_of(os.getpid()) is None
    end(os.getpid())
