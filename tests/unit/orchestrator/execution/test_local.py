"""The executor in this process: one task after the other, tried again where it failed, never where it was stopped."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from orchestrator.execution.executor import RungReport
from orchestrator.execution.local import LocalExecutor
from tests.helpers.works import Heard, made_stage, made_trial
from workloads.errors import UserError


@pytest.fixture
def executor():
    executor = LocalExecutor()
    executor.splits = object()  # these tasks look at no image
    return executor


def failing(times):
    """Raises so many times, then never again."""
    left = [times]

    def before(rung):
        if left[0]:
            left[0] -= 1
            raise RuntimeError("several lines,\nof which the last is kept")

    return before


def test_tasks_run_in_their_order_and_every_rung_is_reported(executor):
    heard = Heard()
    executor.run([made_stage("s"), made_trial("a"), made_trial("b")], heard)
    assert heard.events[:2] == [("started", "stage/s"), ("ended", "stage/s", "")]
    whole = [[("reported", name, rung) for rung in (250, 500, 1000)] for name in "ab"]
    assert heard.events[2:7] == [("started", "trial/a"), *whole[0], ("ended", "trial/a", "")]
    assert heard.events[7:] == [("started", "trial/b"), *whole[1], ("ended", "trial/b", "")]


def test_a_task_that_failed_in_an_earlier_launch_is_begun_as_if_it_had_not(executor):
    executor.run([made_stage("s", before=failing(9))], Heard())
    assert executor.failures
    with executor.started(None, "", SimpleNamespace(shape=None, counts=None, targets=None, streamed=None)):
        executor.run([made_trial("a", after=frozenset({"stage/s"}))], heard := Heard())
    assert heard.events[-1] == ("ended", "trial/a", "")


def test_a_trial_that_is_stopped_does_not_go_on_and_has_ended_well(executor):
    begun = []
    heard = Heard(stop_at=("a", 500))
    executor.run([made_trial("a", before=begun.append)], heard)
    assert begun == [250, 500]
    assert heard.events[-1] == ("ended", "trial/a", "")


def test_a_task_that_fails_once_is_begun_again(executor):
    heard = Heard()
    executor.run([made_trial("a", before=failing(1))], heard)
    assert heard.events[:3] == [("started", "trial/a"), ("started", "trial/a"), ("reported", "a", 250)]
    assert heard.events[-1] == ("ended", "trial/a", "")
    assert executor.failures == {}


def test_a_task_that_fails_more_often_than_it_is_retried_has_failed_and_the_others_go_on(executor):
    heard = Heard()
    executor.run([made_trial("a", before=failing(9)), made_trial("b")], heard)
    assert heard.events.count(("started", "trial/a")) == 2
    error = "RuntimeError: of which the last is kept"
    assert ("ended", "trial/a", error) in heard.events
    assert heard.events[-1] == ("ended", "trial/b", "")


def test_what_comes_after_a_failed_task_is_not_begun_and_says_which_failed(executor):
    heard = Heard()
    stages = [made_stage("s", before=failing(9)), made_stage("t", after=["stage/s"]), made_stage("u")]
    executor.run(stages, heard)
    executor.run([made_trial("a", after=["stage/t"]), made_trial("b", after=["stage/u"])], heard)
    ends = {task: error for _, task, error in (event for event in heard.events if event[0] == "ended")}
    assert ends["stage/t"] == "stage/s failed: RuntimeError: of which the last is kept"
    assert ends["trial/a"].startswith("stage/t failed: stage/s failed")
    assert ends["stage/u"] == ends["trial/b"] == ""
    begun = {event[1] for event in heard.events if event[0] == "started"}
    assert begun == {"stage/s", "stage/u", "trial/b"}


def test_an_interrupt_is_no_failure_and_ends_the_call(executor):
    def interrupt(rung):
        if rung == 500:
            raise KeyboardInterrupt

    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        executor.run([made_trial("a", before=interrupt), made_trial("b")], heard)
    assert heard.events == [("started", "trial/a"), ("reported", "a", 250)]
    assert executor.notes() == {}


def test_threads_are_the_task_s_while_it_runs_and_as_before_afterwards(executor):
    before, inside = torch.get_num_threads(), []
    executor.run(
        [made_trial("a", threads=before + 1, before=lambda rung: inside.append(torch.get_num_threads()))], Heard()
    )
    assert set(inside) == {before + 1}
    assert torch.get_num_threads() == before


def test_a_travelling_executor_refuses_what_cannot_go_to_another_process():
    executor = LocalExecutor(travelling=True)
    executor.splits = object()
    with pytest.raises(TypeError, match="pickle"):
        executor.run([made_trial("a", value=threading.Lock())], Heard())


def test_gpus_that_are_not_there_are_not_passed_over_in_silence(executor, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    task = made_trial("a")
    task = replace(task, claim=task.claim.model_copy(update={"gpus_per_worker": 1.0}))
    with pytest.raises(UserError, match="asks for a GPU, and torch sees none"):
        executor.run([task], Heard())


def test_images_are_shared_first():
    with pytest.raises(ValueError, match="images are shared before tasks run"):
        LocalExecutor().run([made_trial("a", retries=0)], Heard())


def test_what_the_listener_raises_is_no_failure_of_the_task(executor):
    class FullDisk(Heard):
        def hear(self, event):
            if isinstance(event, RungReport):
                raise OSError("no space left")
            return super().hear(event)

    heard = FullDisk()
    with pytest.raises(OSError, match="no space left"):
        executor.run([made_trial("a")], heard)
    assert [event[0] for event in heard.events] == ["started"]
