"""What workers take from a queue, and who takes what a lost one had. No Ray is started."""

from types import SimpleNamespace

import pytest
import ray

from orchestrator.execution.executor import End
from orchestrator.execution.on_ray import crew, pool
from orchestrator.execution.on_ray.attempts import Remembering
from orchestrator.execution.on_ray.pool import Queue
from orchestrator.execution.on_ray.tune import REPLY, Relay
from tests.helpers.works import Heard, made_stage, made_trial

UNSENT = ray.exceptions.RayTaskError("advance", "TypeError: cannot be pickled", TypeError("cannot be pickled"))
LOST = ray.exceptions.ActorUnavailableError("restarting", b"0" * 16)


class MadeWorker:
    """answers: to what it is handed, in their order. away: how often it does not answer that it is there, after it has
    been lost. afresh, tasks: what it was handed."""

    def __init__(self, *answers, away=0):
        self.answers, self.away, self.lost = list(answers), away, False
        self.afresh, self.tasks = [], []
        self.advance = SimpleNamespace(remote=self.advanced)
        self.ready = SimpleNamespace(remote=self.looked_at)
        self.stop = SimpleNamespace(remote=lambda: None)

    def advanced(self, task, afresh, decision=None):
        self.afresh.append(afresh)
        self.tasks.append(task.id)
        answer = self.answers.pop(0) if self.answers else End()
        self.lost = answer is LOST
        return answer, object()

    def looked_at(self):
        self.away -= self.lost
        return LOST if self.lost and self.away >= 0 else None, object()


def read(answer):
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    monkeypatch.setattr(ray, "wait", lambda answers, num_returns, timeout: (answers[:1], answers[1:]))
    monkeypatch.setattr(ray, "get", read)
    for module in (crew, pool):
        monkeypatch.setattr(module, "AGAIN_S", 0)


def ends(heard):
    return {task: error for _, task, error in (event for event in heard.events if event[0] == "ended")}


def test_a_stage_that_failed_begins_afresh_also_where_only_its_report_got_lost():
    heard, worker = Heard(), MadeWorker(UNSENT, End())
    Queue([made_stage("s", retries=1)], heard, {}).run([worker])
    assert worker.afresh == [True, True]
    assert heard.events[-1] == ("ended", "stage/s", "")


def test_a_trial_begins_afresh():
    relay, worker = object.__new__(Relay), MadeWorker(UNSENT, End())
    relay.setup({"trial": 0, "worker": 0}, [worker], [made_trial("a")])
    assert "cannot be pickled" in relay.step()[REPLY].error
    assert relay.step()[REPLY] == End()
    assert worker.afresh == [True, True]


def test_what_a_lost_worker_had_goes_to_the_other_and_costs_its_task_one_loss():
    heard, lost, steady = Heard(), MadeWorker(LOST, away=10**6), MadeWorker()
    Queue([made_stage(key) for key in "stu"], heard, {}).run([lost, steady])
    assert lost.tasks == ["stage/s"]
    assert sorted(steady.tasks) == ["stage/s", "stage/t", "stage/u"]
    assert ends(heard) == dict.fromkeys(("stage/s", "stage/t", "stage/u"), "")
    assert heard.events.count(("started", "stage/s")) == 2


def test_the_only_worker_may_be_away_for_as_long_as_workers_may_take_to_start():
    heard, worker = Heard(), MadeWorker(LOST, away=50)
    Queue([made_stage("s")], heard, {}).run([worker])
    assert worker.tasks == ["stage/s"] * 2
    assert ends(heard) == {"stage/s": ""}


def test_without_any_worker_all_tasks_end_and_say_so(monkeypatch):
    heard, worker = Heard(), MadeWorker(LOST, away=10**6)
    monkeypatch.setattr(crew, "start_timeout_s", lambda: 0.05)
    Queue([made_stage("s"), made_stage("t")], heard, {}).run([worker])
    assert set(ends(heard).values()) == {"no worker could be started, or came back"}


def test_a_stage_waits_for_those_that_it_reads_and_does_not_outlive_their_failure():
    failed = End(error="RuntimeError: diverged")
    heard, failures, worker = Heard(), {}, MadeWorker(failed, End())
    tasks = [made_stage("s"), made_stage("t", after=["stage/s"]), made_stage("u")]
    Queue(tasks, Remembering(heard, failures), failures).run([worker])
    assert worker.tasks == ["stage/s", "stage/u"]
    assert ends(heard)["stage/t"] == f"stage/s failed: {failed.error}"
