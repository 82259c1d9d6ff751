"""Which worker a trial gets, and when: Tune's calls are made here, and no Ray is started."""

from types import SimpleNamespace

import pytest
import ray
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from orchestrator.execution.executor import End, RungReport
from orchestrator.execution.on_ray import crew
from orchestrator.execution.on_ray.attempts import LOSSES
from orchestrator.execution.on_ray.tune import REPLY, Driver
from orchestrator.record.events import RungMetrics
from tests.helpers.works import Heard, made_trial

LOST = End(error="ActorUnavailableError: restarting", lost=True)


class MadeWorker:
    """there: whether it is; None for one that Ray has no room for, which answers nothing at all."""

    def __init__(self, there=True):
        self.there, self.stops = there, 0
        self.ready = SimpleNamespace(remote=lambda: (self, object()))
        self.stop = SimpleNamespace(remote=self.let_go)

    def let_go(self):
        self.stops += 1


def answered(answers, num_returns, timeout):
    ready = [answer for answer in answers if answer[0].there is not None][:num_returns]
    return ready, [answer for answer in answers if answer not in ready]


def read(answer):
    if not answer[0].there:
        raise ray.exceptions.ActorUnavailableError("restarting", b"0" * 16)


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    monkeypatch.setattr(ray, "wait", answered)
    monkeypatch.setattr(ray, "get", read)
    monkeypatch.setattr(crew, "AGAIN_S", 0)


def driver_of(trials, workers, retries=1):
    heard = Heard()
    return heard, Driver([made_trial(str(number), retries=retries) for number in range(trials)], heard, workers)


def began(driver):
    config = driver.begin()
    return SimpleNamespace(config=config, get_error=lambda: None) if isinstance(config, dict) else config


def answer(driver, trial, reply):
    """As Tune does: after the decision to stop the trial is complete."""
    decision = driver.on_trial_result(None, trial, {REPLY: reply})
    if decision == TrialScheduler.STOP:
        driver.on_trial_complete(None, trial, {})
    return decision


def errors(heard):
    return {task: error for kind, task, error in (event for event in heard.events if event[0] == "ended")}


def test_a_worker_that_does_not_come_back_costs_its_trial_one_loss_and_the_others_nothing():
    steady, lost = MadeWorker(), MadeWorker()
    heard, driver = driver_of(12, [steady, lost])
    first, second = began(driver), began(driver)
    lost.there = False
    assert answer(driver, second, LOST) == TrialScheduler.STOP
    assert began(driver) is None  # it waits, for the other worker is busy
    answer(driver, first, End())
    served = []
    while isinstance(trial := began(driver), SimpleNamespace):
        served.append((trial.config["trial"], trial.config["worker"]))
        answer(driver, trial, End())
    assert served == [(number, 0) for number in range(1, 12)]
    assert trial == Searcher.FINISHED
    assert errors(heard) == {f"trial/{number}": "" for number in range(12)}
    assert driver.courses[1].losses == 1
    assert heard.events.count(("started", "trial/1")) == 2


def test_a_worker_that_comes_back_has_trials_again():
    worker = MadeWorker()
    heard, driver = driver_of(1, [worker])
    trial = began(driver)
    worker.there = False
    answer(driver, trial, LOST)
    assert [began(driver) for _ in range(3)] == [None] * 3
    worker.there = True
    answer(driver, began(driver), End())
    assert errors(heard) == {"trial/0": ""}


def test_a_lost_trial_waits_until_tune_has_stopped_it():
    lost = MadeWorker()
    heard, driver = driver_of(1, [lost, MadeWorker()])
    trial = began(driver)
    assert driver.on_trial_result(None, trial, {REPLY: LOST}) == TrialScheduler.STOP
    assert began(driver) is None  # Tune saves its state first
    driver.on_trial_complete(None, trial, {})
    answer(driver, began(driver), End())
    assert began(driver) == Searcher.FINISHED
    assert errors(heard) == {"trial/0": ""}


def test_a_worker_that_was_never_started_has_no_trial():
    _, driver = driver_of(3, [MadeWorker(there=None), MadeWorker()])
    assert began(driver).config == {"trial": 0, "worker": 1}
    assert began(driver) is None


def test_a_worker_has_its_next_trial_only_once_it_has_let_go_of_the_last():
    worker = MadeWorker()
    _, driver = driver_of(2, [worker])
    trial = began(driver)
    worker.there = None  # it works on, for its trial's own process was lost
    driver.on_trial_error(None, trial)
    assert worker.stops == 1
    assert began(driver) is None
    worker.there = True
    assert began(driver).config == {"trial": 0, "worker": 0}


def test_trials_wait_no_longer_than_workers_may_take_to_start(monkeypatch):
    heard, driver = driver_of(2, [MadeWorker(there=False)])
    assert began(driver) is None
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "-1")
    assert began(driver) == Searcher.FINISHED
    assert set(errors(heard).values()) == {"no worker could be started, or came back"}


def test_a_failed_attempt_goes_on_where_it_is_and_a_worker_lets_go_at_the_end():
    worker = MadeWorker()
    _, driver = driver_of(1, [worker])
    trial = began(driver)
    assert answer(driver, trial, End(error="RuntimeError: diverged")) == TrialScheduler.CONTINUE
    assert worker.stops == 0
    assert answer(driver, trial, RungReport("0", 250, RungMetrics())) == TrialScheduler.CONTINUE
    assert answer(driver, trial, End()) == TrialScheduler.STOP
    assert worker.stops == 1


def test_a_trial_whose_own_process_is_lost_begins_again_as_often_as_one_whose_workers_are():
    heard, driver = driver_of(1, [None])
    for _ in range(LOSSES):
        driver.on_trial_error(None, began(driver))
    assert began(driver) == Searcher.FINISHED
    assert f"{LOSSES} workers were lost" in errors(heard)["trial/0"]
