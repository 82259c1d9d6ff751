"""Ray starts beside what the launcher does without it, and ends however that ends. Without any Ray."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from orchestrator.execution.on_ray import executor
from orchestrator.execution.on_ray.executor import RayExecutor
from workloads.errors import UserError


@pytest.fixture
def happened(monkeypatch):
    """(what became of Ray, in which thread), in the order in which it did."""
    notes = []

    @contextmanager
    def session(*_, **__):
        notes.append(("started", threading.current_thread()))
        try:
            yield
        finally:
            notes.append(("ended", threading.current_thread()))

    monkeypatch.setattr(executor, "ray_session", session)
    monkeypatch.setattr(executor.progress, "start", lambda: None)
    monkeypatch.setattr(executor, "watch_ray", lambda notes: SimpleNamespace(end=lambda: None, ended=""))
    return notes


def refusing(monkeypatch):
    def refuse(_workload):
        raise UserError("2 of 3 nodes cannot load the method")

    monkeypatch.setattr(executor, "check_nodes", refuse)


def words_of(happened):
    return [word for word, _ in happened]


def test_ray_starts_in_a_thread_that_lives_until_it_has_ended(happened):
    """Its processes end with the thread that has started them."""
    ray = RayExecutor()
    with ray.ahead():
        ray.starting.result(timeout=60)
        assert words_of(happened) == ["started"]
        assert happened[0][1].is_alive()
    assert words_of(happened) == ["started", "ended"]
    (thread,) = {thread for _, thread in happened}
    assert thread is not threading.main_thread()
    assert not thread.is_alive()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("no such images")])
def test_whatever_ends_the_launch_while_ray_starts_ends_ray(happened, error):
    with pytest.raises(type(error)), RayExecutor().ahead():
        raise error
    assert words_of(happened) == ["started", "ended"]


def test_that_ray_did_not_start_is_heard_where_it_is_needed_and_leaves_nothing(happened, monkeypatch):
    refusing(monkeypatch)
    ray = RayExecutor()
    with ray.ahead(), pytest.raises(UserError, match="2 of 3 nodes"), ray.started(None, "", None):
        pass
    assert words_of(happened) == ["started", "ended"]


def test_what_began_without_ray_starts_it_where_it_is_needed(happened, monkeypatch):
    """And may do so twice."""
    refusing(monkeypatch)
    ray = RayExecutor()
    for _ in range(2):
        with pytest.raises(UserError, match="2 of 3 nodes"), ray.started(None, "", None):
            pass
    assert words_of(happened) == ["started", "ended"] * 2
