"""What remains of a run whose launcher died: rungs on disk come into the ledger, and are decided, first."""

import json
from dataclasses import replace

import pytest

from orchestrator.execution.recorder import Recorder
from orchestrator.execution.tasks import reconcile
from orchestrator.planning.early_stopping import SuccessiveHalving
from orchestrator.record.events import RungReached, TrialMoved
from orchestrator.record.state import State
from tests.helpers.records import ledger_at, measured, opened, trial_plan
from tests.helpers.works import RUNGS, made_trial
from workloads.files import write_checked

NAMES = ("a", "b", "c")


@pytest.fixture
def run(tmp_path):
    """Paths and ledger of a run of three trials."""
    return ledger_at(tmp_path, "run", opened(trials=tuple(map(trial_plan, NAMES))))


def remaining(run):
    """Names of the trials that are left."""
    paths, ledger = run
    recorder = Recorder(ledger, SuccessiveHalving(RUNGS, 2, "max"), "contrastive", print)
    tasks = [made_trial(name, paths.trial(name).folder) for name in NAMES if not over(ledger, name)]
    return [task.name for task in reconcile(tasks, recorder)]


def over(ledger, name):
    return ledger.state.trials[name].state in (State.FINISHED, State.STOPPED)


def on_disk(run, trial, rung, value):
    paths = run[0].trial(trial)
    write_checked(paths.scores(rung), b"a table")
    write_checked(paths.rung(rung), json.dumps({"budget": rung, "contrastive": value}).encode())


def in_ledger(run, trial, rung, value):
    on_disk(run, trial, rung, value)
    run[1].append(TrialMoved(trial, State.RUNNING))
    run[1].append(RungReached(trial, rung, measured(contrastive=value)))


def rungs(run):
    return [(event.trial, event.rung) for event in run[1].events if isinstance(event, RungReached)]


def state(run, trial):
    return run[1].state.trials[trial].state


def test_a_run_that_was_never_begun_remains_as_a_whole(run):
    assert remaining(run) == ["a", "b", "c"]
    assert rungs(run) == []


def test_a_rung_that_only_the_disk_knows_is_recorded_and_the_trial_goes_on(run):
    in_ledger(run, "a", 250, 0.5)
    on_disk(run, "a", 500, 0.6)
    assert remaining(run) == ["a", "b", "c"]
    assert rungs(run) == [("a", 250), ("a", 500)]
    assert run[1].state.trials["a"].rungs[500].numbers == {"contrastive": 0.6}


def test_a_rung_that_only_the_disk_knows_is_decided(run):
    in_ledger(run, "a", 250, 0.5)
    on_disk(run, "b", 250, 0.4)
    assert remaining(run) == ["a", "c"]
    assert state(run, "b") == State.STOPPED


def test_a_trial_whose_last_rung_only_the_disk_knows_is_finished(run):
    for rung in RUNGS:
        on_disk(run, "a", rung, 0.5)
    assert remaining(run) == ["b", "c"]
    assert rungs(run) == [("a", rung) for rung in RUNGS]
    assert state(run, "a") == State.FINISHED


def test_a_trial_whose_end_was_not_written_ends(run):
    """The launcher died between a rung's line and the line that says what became of the trial."""
    for rung in RUNGS:
        in_ledger(run, "a", rung, 0.5)
    in_ledger(run, "b", 250, 0.4)
    assert remaining(run) == ["c"]
    assert (state(run, "a"), state(run, "b")) == (State.FINISHED, State.STOPPED)
    assert remaining(run) == ["c"], "and is not looked at again"


def test_of_a_task_of_two_trials_the_ones_that_are_over_leave_it(run):
    for rung in RUNGS:
        on_disk(run, "a", rung, 0.5)
    paths, ledger = run
    recorder = Recorder(ledger, SuccessiveHalving(RUNGS, 2, "max"), "contrastive", print)
    a, b = (made_trial(name, paths.trial(name).folder) for name in "ab")
    (rest,) = reconcile([replace(a, work=replace(a.work, trials=a.work.trials + b.work.trials))], recorder)
    assert [trial.id for trial in rest.work.trials] == ["b"]
    assert (state(run, "a"), state(run, "b")) == (State.FINISHED, State.PENDING)


def test_what_lies_beyond_a_gap_is_left_alone(run):
    on_disk(run, "a", 500, 0.5)
    assert remaining(run) == ["a", "b", "c"]
    assert rungs(run) == []
