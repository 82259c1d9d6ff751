"""The ledger first, then the decision: what an executor tells, in which order, and what a dead launcher leaves."""

from dataclasses import replace

import pytest

from orchestrator.execution.executor import End, Ended, RungReport, Started
from orchestrator.execution.recorder import LONGEST_ERROR, Recorder
from orchestrator.planning.early_stopping import Decision, SuccessiveHalving
from orchestrator.record.events import Mishap, RungMetrics, RungReached, StageEnded, TrialMoved
from orchestrator.record.state import State
from tests.helpers.records import ledger_at, measured, opened, trial_plan
from tests.helpers.works import RUNGS, made_stage, made_trial


@pytest.fixture
def ledger(tmp_path):
    return ledger_at(tmp_path, "run", opened(trials=(trial_plan("a"), trial_plan("b"))))[1]


def recorder_of(ledger, rule=None, warn=None):
    return Recorder(ledger, rule or SuccessiveHalving((1000,), 2, "max"), "contrastive", warn)


def halving():
    return SuccessiveHalving(RUNGS, 2, "max")


def report(trial, rung, value):
    return RungReport(trial, rung, RungMetrics({"contrastive": value}))


def test_a_rung_is_in_the_ledger_when_the_rule_is_asked(ledger):
    class Looking(SuccessiveHalving):
        def decide(self, trial, rung, value):
            assert ledger.state.trials[trial].rungs[rung].numbers["contrastive"] == value
            return Decision.STOP

    recorder = recorder_of(ledger, Looking(RUNGS, 2, "max"))
    ledger.changed.clear()
    assert recorder.hear(report("a", 250, 0.5)) == Decision.STOP
    assert ledger.changed.is_set(), "who follows the ledger hears of it"


def test_a_mishap_is_told_of_and_kept_without_what_is_secret(ledger):
    heard = []
    recorder_of(ledger, warn=heard.append).hear(
        Mishap(task="trial/a", text="lost at https://b/k?X-Amz-Signature=hunter2")
    )
    assert heard == ["trial/a: lost at https://b/k?X-Amz-Signature=***"]
    event = ledger.events[-1]
    assert (event.task, event.text) == ("trial/a", "lost at https://b/k?X-Amz-Signature=***")


def test_a_failed_trials_error_is_kept_without_what_is_secret(ledger):
    recorder = recorder_of(ledger)
    recorder.hear(Started(made_trial("a")))
    recorder.hear(Ended(made_trial("a"), End(error="403 for postgresql://me:hunter2@db/x")))
    assert ledger.state.trials["a"].error == "403 for postgresql://***@db/x"


def test_a_rung_that_is_there_is_neither_recorded_nor_decided_again(ledger):
    recorder = recorder_of(ledger, halving())
    assert recorder.hear(report("a", 250, 0.5)) == Decision.CONTINUE
    count = len(ledger.events)
    assert recorder.hear(report("a", 250, 0.1)) == Decision.CONTINUE
    assert len(ledger.events) == count
    assert recorder.hear(report("b", 250, 0.4)) == Decision.STOP, "0.5 is what a had"


def test_a_resumed_rule_compares_with_all_that_ran_before(ledger):
    ledger.append(RungReached("a", 250, measured(contrastive=0.9)))
    assert recorder_of(ledger, halving()).hear(report("b", 250, 0.5)) == Decision.STOP


def test_a_stop_that_a_dead_launcher_could_not_act_on_stands(ledger):
    """It had written the rung, and died before it wrote that the trial was stopped."""
    ledger.append(RungReached("a", 250, measured(contrastive=0.9)))
    ledger.append(RungReached("b", 250, measured(contrastive=0.5)))
    recorder = recorder_of(ledger, halving())
    assert recorder.hear(report("a", 250, 0.9)) == Decision.CONTINUE
    assert recorder.hear(report("b", 250, 0.5)) == Decision.STOP


def test_how_a_trial_ends_is_told_by_its_rungs_and_its_error(ledger):
    recorder = recorder_of(ledger)
    for trial, last in (("a", 1000), ("b", 250)):
        recorder.hear(Started(made_trial(trial)))
        recorder.hear(report(trial, last, 0.5))
        recorder.hear(Ended(made_trial(trial), End()))
    assert [trial.state for trial in ledger.state.trials.values()] == [State.FINISHED, State.STOPPED]
    recorder.hear(Ended(made_trial("b"), End(error="too late")))
    assert ledger.state.trials["b"].state == State.STOPPED


def test_an_error_is_kept_but_not_at_any_length(ledger):
    recorder = recorder_of(ledger)
    recorder.hear(Started(made_trial("a")))
    recorder.hear(Ended(made_trial("a"), End(error="e" * 2 * LONGEST_ERROR)))
    trial = ledger.state.trials["a"]
    assert (trial.state, trial.error) == (State.FAILED, "e" * LONGEST_ERROR)


def test_a_stage_is_recorded_once_it_is_there_and_a_failed_one_is_told_to_the_user(ledger):
    warnings = []
    recorder = recorder_of(ledger, warn=warnings.append)
    recorder.hear(Ended(made_stage("s"), End(seconds=1.5, steps=3)))
    recorder.hear(Ended(made_stage("t"), End(error="no room")))
    (event,) = (event for event in ledger.events if isinstance(event, StageEnded))
    assert (event.key, event.reused, event.seconds, event.steps) == ("s", False, 1.5, 3)
    assert warnings == ["stage/t failed: no room"]


def test_only_what_was_running_is_interrupted(ledger):
    recorder = recorder_of(ledger)
    recorder.hear(Started(made_trial("a")))
    recorder.interrupted()
    states = {name: trial.state for name, trial in ledger.state.trials.items()}
    assert states == {"a": State.INTERRUPTED, "b": State.PENDING}


def test_what_is_told_is_read_back(ledger, tmp_path):
    recorder = recorder_of(ledger)
    recorder.hear(Started(made_trial("a")))
    recorder.hear(report("a", 1000, 0.5))
    recorder.hear(Ended(made_trial("a"), End()))
    _, again = ledger_at(tmp_path)
    moves = [event.state for event in again.events if isinstance(event, TrialMoved)]
    assert moves == [State.RUNNING, State.FINISHED]
    assert again.state.trials["a"].rungs == ledger.state.trials["a"].rungs


def test_a_trial_that_is_stopped_is_over_while_another_of_its_task_goes_on_and_fails(ledger):
    both = made_trial("a")
    both = replace(both, work=replace(both.work, trials=(*both.work.trials, *made_trial("b").work.trials)))
    recorder = recorder_of(ledger, halving())
    recorder.hear(Started(both))
    assert recorder.hear(report("b", 250, 0.5)) == Decision.CONTINUE
    assert recorder.hear(report("a", 250, 0.4)) == Decision.STOP
    assert [trial.state for trial in ledger.state.trials.values()] == [State.STOPPED, State.RUNNING]
    recorder.hear(Ended(both, End(error="no memory")))
    assert [trial.state for trial in ledger.state.trials.values()] == [State.STOPPED, State.FAILED]
