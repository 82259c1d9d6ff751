"""An attempt that failed is not gone on with, also where the worker knows nothing of that: its report got lost."""

from types import SimpleNamespace

import pytest
import ray

from orchestrator.execution.executor import End
from orchestrator.execution.on_ray.pool import Queue
from orchestrator.execution.on_ray.tune import REPLY, Relay
from tests.helpers.works import Heard, made_stage, made_trial

UNSENT = ray.exceptions.RayTaskError("advance", "TypeError: cannot be pickled", TypeError("cannot be pickled"))


class MadeWorker:
    """Its first report cannot be sent. afresh: what it is told, call by call."""

    def __init__(self):
        self.afresh, self.answers = [], [UNSENT, End()]
        self.advance = SimpleNamespace(remote=self.advanced)
        self.ready = SimpleNamespace(remote=lambda: (None,))

    def advanced(self, task, afresh, decision=None):
        self.afresh.append(afresh)
        return (self.answers.pop(0),)


def read(answer):
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    monkeypatch.setattr(ray, "wait", lambda answers, num_returns: (answers[:1], answers[1:]))
    monkeypatch.setattr(ray, "get", read)


def test_a_stage_begins_afresh():
    heard, worker = Heard(), MadeWorker()
    Queue([made_stage("s", retries=1)], heard, {}).run([worker])
    assert worker.afresh == [True, True]
    assert heard.events[-1] == ("ended", "stage/s", "")


def test_a_trial_begins_afresh():
    relay, worker = object.__new__(Relay), MadeWorker()
    relay.setup({"trial": 0, "worker": 0}, [worker], [made_trial("a")])
    assert "cannot be pickled" in relay.step()[REPLY].error
    assert relay.step()[REPLY] == End()
    assert worker.afresh == [True, True]
