"""What becomes of a task that fails, and of one whose worker is lost, without any Ray."""

import errno
import pickle

import pytest

from orchestrator.execution.executor import End, RungReport
from orchestrator.execution.on_ray import executor
from orchestrator.execution.on_ray.attempts import LOSSES, Course, Remembering, end_of
from orchestrator.execution.on_ray.executor import RayExecutor
from orchestrator.execution.work.trial import TrialUnits
from orchestrator.record.events import RungMetrics
from tests.helpers.works import RUNGS, Heard, MadeTrial, made_stage, made_trial
from workloads.errors import Kind, UserError

LOST = End(error="ActorDiedError: killed", lost=True)
FAILED = End(error="RuntimeError: diverged")


def rung(number, trial="a"):
    return RungReport(trial, number, RungMetrics())


def test_a_task_is_begun_again_as_often_as_it_may_and_ends_with_its_last_error():
    heard, course = Heard(), Course(made_trial("a", retries=1))
    assert course.hear(FAILED, heard)
    assert not course.hear(FAILED, heard)
    assert heard.events == [("started", "trial/a"), ("ended", "trial/a", FAILED.error)]


def test_losses_in_a_row_end_a_task_and_a_new_rung_ends_the_row():
    heard, course = Heard(), Course(made_trial("a", retries=0))
    assert all(course.hear(LOST, heard) for _ in range(LOSSES - 1))
    assert course.hear(rung(250), heard)
    assert all(course.hear(LOST, heard) for _ in range(LOSSES - 1))
    assert course.hear(rung(250), heard)  # the same once more, by an attempt that begins where its files are
    assert not course.hear(LOST, heard)
    assert "5 workers were lost one after the other: ActorDiedError: killed" in heard.events[-1][2]
    texts = [f"its worker was lost ({n} in a row, 5 end it): ActorDiedError: killed" for n in range(1, LOSSES)]
    assert heard.mishaps == [("trial/a", text) for text in texts * 2]


def test_what_the_machine_around_refuses_ends_the_launch_and_no_task():
    full = end_of(OSError(errno.ENOSPC, "No space left on device", "/runs/x"))
    heard = Heard()
    remembering = Remembering(heard)
    with pytest.raises(UserError, match="the disk is full") as raised:
        Course(made_trial("a", retries=3)).hear(full, remembering)
    assert raised.value.kind == Kind.ENVIRONMENT
    assert raised.value.where == "/runs/x"
    assert remembering.raised == [raised.value], "whatever Tune makes of it"
    assert heard.events == []
    assert pickle.loads(pickle.dumps(full)).world.where == "/runs/x"


def test_a_file_that_is_missing_alone_is_the_error_of_its_work():
    """As in one process: the next piece of work would not meet it."""
    missing = end_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "/tmp/weights.pt"))
    assert missing.world is None
    assert "No such file or directory" in missing.error
    gone = end_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/such/storage/weights.pt"))
    assert gone.world is not None


def test_a_stopped_trial_has_ended_well():
    heard, course = Heard(stop_at=("a", 500)), Course(made_trial("a"))
    assert course.hear(rung(250), heard)
    assert not course.hear(rung(500), heard)
    assert heard.events[-1] == ("ended", "trial/a", "")


def test_a_task_of_two_trials_goes_on_until_both_are_stopped():
    heard, task = Heard(stop_at=("a", 250)), made_trial("a")
    both = MadeTrial("mlsad", tuple(TrialUnits(name, "nowhere", ()) for name in "ab"), RUNGS)
    course = Course(type(task)("trial/ab", both, task.claim))
    assert course.hear(rung(250), heard)
    assert course.decision == "stop"
    assert course.hear(rung(250, "b"), heard)
    heard.stop_at = ("b", 500)
    assert not course.hear(rung(500, "b"), heard)


class Full(Heard):
    def hear(self, event):
        raise UserError("no space left")


def test_an_error_of_the_listener_leaves_the_executor_as_it_is_whatever_tune_makes_of_it(monkeypatch):
    def tune(self, tasks, heard, slots):
        try:
            Course(tasks[0]).begin(heard)
        except UserError as error:
            raise RuntimeError("of Tune") from error

    monkeypatch.setattr(RayExecutor, "run_all", tune)
    with pytest.raises(UserError, match="no space left"):
        RayExecutor().run([made_trial("a")], Full())


def test_an_error_that_the_listener_has_no_part_in_stays_what_it_is(monkeypatch):
    def tune(self, tasks, heard, slots):
        raise RuntimeError("of Ray")

    monkeypatch.setattr(RayExecutor, "run_all", tune)
    with pytest.raises(RuntimeError, match="of Ray"):
        RayExecutor().run([], Heard())


def test_what_failed_in_an_earlier_launch_is_forgotten_when_it_is_started_again(monkeypatch):
    def no_ray(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(executor, "ray_session", no_ray)
    ray = RayExecutor()
    ray.failures["stage/s"] = "it diverged"
    with pytest.raises(ConnectionError), ray.started(None, "", None):
        pass
    assert ray.failures == {}


@pytest.mark.parametrize("end", [End(), FAILED])
def test_what_failed_is_remembered_for_those_that_come_after_it(end):
    remembering = Remembering(Heard())
    Course(made_stage("s", retries=0)).hear(end, remembering)
    assert remembering.failures == ({"stage/s": end.error} if end.error else {})
