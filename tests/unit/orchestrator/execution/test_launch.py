"""A whole launch in this process: stopped by the rule, interrupted, failed in part, and what a dead launcher leaves."""

import json
from contextlib import contextmanager, suppress
from statistics import median

import pytest

from orchestrator.data import loading
from orchestrator.execution.executor import Started
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.recorder import Recorder
from orchestrator.record.events import Closed, Launched, Opened, RungReached, TrialMoved
from orchestrator.record.ledger import Ledger, encode
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import State
from tests.helpers.files import flip
from tests.helpers.launches import request_for, run
from workloads.errors import UserError
from workloads.files import is_whole

pytestmark = pytest.mark.usefixtures("unmirrored")

SPACE = '''"""Two stages, four trials, two rungs, in seconds."""

from tune_spaces.schema import Data, Scheduler, Search, Space

SPACE = Space(
    workload="mlsad",
    data=Data(name="digits", side=8, classes=("3",), max_train_images=20),
    fixed={
        "width": 0.0625, "levels": (1, 4), "generator_epochs": 1.0, "detector_epochs": 2.0, "bank_size": 16,
        "generator_batch_size": 8, "quality_steps": 1, "grey_as_rgb": False,
    },
    axes={"lambda_entropy": (1.0, 0.0), "detector_lr": (1e-2, 1e-5)},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="asha", eta=2, first_rung=0.5),
)
'''


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    file = tmp_path_factory.mktemp("spaces") / "small.py"
    file.write_text(SPACE)
    return file


class Disturbed(LocalExecutor):
    """An attempt at a task for which `error` returns something ends with it, or is interrupted by it."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def attempt(self, task):
        if error := self.error(task):
            raise error
        return (yield from super().attempt(task))


def launched(space, storage, executor=None):
    """(exit code, what was printed, the ledger)."""
    request = request_for(storage, space, "run", executor="local", preset=None)
    code, text = run(request, executor)
    return code, text, ledger_of(storage)


def ledger_of(storage):
    return Ledger(RunPaths(str(storage), "run"))


def rungs(ledger):
    return [(event.trial, event.rung) for event in ledger.events if isinstance(event, RungReached)]


def scores(storage):
    return {file.name: file.read_bytes() for file in sorted(storage.rglob("scores/*.parquet"))}


@pytest.fixture(scope="module")
def whole(space, tmp_path_factory):
    """(storage, ledger) of a run that nothing disturbed."""
    storage = tmp_path_factory.mktemp("whole")
    code, text, ledger = launched(space, storage)
    assert code == 0, text
    return storage, ledger


def test_trials_are_stopped_by_the_rule_and_only_by_it(whole):
    """Half are kept: a trial stops that is below the median of those that were at its rung before."""
    _, ledger = whole
    trials = list(ledger.state.trials.values())
    values = [trial.rungs[500].numbers["contrastive"] for trial in trials]
    kept = [number == 0 or values[number] >= median(values[:number]) for number in range(len(trials))]
    assert [trial.state for trial in trials] == [State.FINISHED if good else State.STOPPED for good in kept]
    assert set(kept) == {True, False}
    assert [1000 in trial.rungs for trial in trials] == kept


def test_an_interrupted_run_is_resumed_to_the_same_end(space, whole, tmp_path):
    name = list(whole[1].state.trials)[1]
    code, _, ledger = launched(
        space, tmp_path, Disturbed(lambda task: KeyboardInterrupt() if task.name == name else None)
    )
    assert code == 130
    states = [trial.state for trial in ledger.state.trials.values()]
    assert states == [State.FINISHED, State.INTERRUPTED, State.PENDING, State.PENDING]
    assert ledger.state.closed.outcome == "interrupted"
    code, text, ledger = launched(space, tmp_path)
    assert code == 0, text
    assert rungs(ledger) == rungs(whole[1])
    assert scores(tmp_path) == scores(whole[0])
    assert ledger.state.closed.best == whole[1].state.closed.best


class Ahead(LocalExecutor):
    """Notes when it begins to start ahead of need, when it has ended, and when it is needed."""

    def __init__(self):
        super().__init__()
        self.notes = []

    @contextmanager
    def ahead(self):
        self.notes.append("ahead")
        try:
            yield
        finally:
            self.notes.append("ended")

    def started(self, *arguments):
        self.notes.append("needed")
        return super().started(*arguments)


def test_a_run_that_has_nothing_left_to_do_starts_nothing(space, whole):
    executor = Ahead()
    code, text, _ = launched(space, whole[0], executor)
    assert code == 0, text
    assert executor.notes == []


def test_an_executor_starts_beside_the_reading_of_images_and_ends_where_they_are_refused(space, tmp_path, monkeypatch):
    executor = Ahead()

    def refuse(*_):
        executor.notes.append("reading")
        raise UserError("no such images")

    monkeypatch.setattr(loading, "load_splits", refuse)
    with pytest.raises(UserError, match="no such images"):
        launched(space, tmp_path, executor)
    assert executor.notes == ["ahead", "reading", "ended"]


class Broken(LocalExecutor):
    """Reaches no task: where it starts, or where it runs one, there is an error."""

    def __init__(self, error, *, started):
        super().__init__()
        self.error, self.starts = error, started

    def started(self, *arguments):
        if not self.starts:
            raise self.error
        return super().started(*arguments)

    def events(self, tasks):
        yield from super().events(tasks[:1]) if tasks[0].kind != "trial" else self.broken(tasks[0])

    def broken(self, task):
        yield Started(task)
        raise self.error


@pytest.mark.parametrize("recording", [True, False])
def test_an_error_of_the_executor_leaves_no_trial_running_and_the_launch_closed(
    space, tmp_path, monkeypatch, recording
):
    """Also where trials cannot be recorded as interrupted."""
    if not recording:
        monkeypatch.setattr(Recorder, "interrupted", lambda _: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(
        RuntimeError if recording else OSError, match="the cluster is gone" if recording else "no space"
    ):
        launched(space, tmp_path, Broken(RuntimeError("the cluster is gone"), started=True))
    states = {trial.state for trial in ledger_of(tmp_path).state.trials.values()}
    assert states == {State.INTERRUPTED if recording else State.RUNNING, State.PENDING}
    assert ledger_of(tmp_path).state.closed.outcome == "failed"


def test_what_is_written_as_launched_is_closed_whatever_follows(space, tmp_path):
    with pytest.raises(RuntimeError, match="no Ray"):
        launched(space, tmp_path, Broken(RuntimeError("no Ray"), started=False))
    assert [type(event) for event in ledger_of(tmp_path).events] == [Opened, Launched, Closed]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(OSError("no space"), "failed"), (KeyboardInterrupt(), "interrupted"), (SystemExit(15), "interrupted")],
)
@pytest.mark.parametrize("where", ["tasks.reconcile", "recorder.recorder_of"])
def test_whatever_ends_a_launch_before_its_first_task_closes_it(space, tmp_path, monkeypatch, where, error, outcome):
    """What was there before cannot be taken up again."""

    def ends(*_):
        raise error

    monkeypatch.setattr(f"orchestrator.execution.{where}", ends)
    with suppress(type(error)):
        launched(space, tmp_path)
    assert [type(event) for event in ledger_of(tmp_path).events] == [Opened, Launched, Closed]
    assert ledger_of(tmp_path).state.closed.outcome == outcome


def test_a_trial_that_fails_once_ends_as_if_it_had_not(space, whole, tmp_path):
    name, left = next(iter(whole[1].state.trials)), [RuntimeError("once")]
    code, text, ledger = launched(
        space, tmp_path, Disturbed(lambda task: left.pop() if left and task.name == name else None)
    )
    assert code == 0, text
    moves = [event.state for event in ledger.events if isinstance(event, TrialMoved) and event.trial == name]
    assert moves == [State.RUNNING, State.RUNNING, State.FINISHED]
    assert rungs(ledger) == rungs(whole[1])


def test_a_stage_that_fails_fails_its_trials_by_name_and_resuming_mends_them(space, whole, tmp_path):
    first, *_, last = whole[1].state.trials.values()
    (key,) = set(last.stages.values()) - set(first.stages.values())
    code, text, ledger = launched(
        space, tmp_path, Disturbed(lambda task: RuntimeError("no room") if task.name == key else None)
    )
    assert code == 1
    failed = {trial.id: trial.error for trial in ledger.state.trials.values() if trial.state == State.FAILED}
    assert failed == {
        trial.id: f"stage/{key} failed: RuntimeError: no room"
        for trial in whole[1].state.trials.values()
        if key in trial.stages.values()
    }
    assert len(failed) == 2
    assert f"stage/{key} failed" in text
    code, text, ledger = launched(space, tmp_path)
    assert code == 0, text
    assert scores(tmp_path) == scores(whole[0])


def test_rungs_that_the_ledger_has_lost_are_in_it_again_before_anything_runs(space, whole, tmp_path):
    """A launcher that dies between a rung's file and its line; and one that dies before it can write a stop."""
    _, ledger = whole
    code, text, _ = launched(space, tmp_path)
    assert code == 0, text
    kept = [event for event in ledger.events if not isinstance(event, RungReached | TrialMoved)][:-1]
    file = tmp_path / "run" / "ledger" / "000001.jsonl"
    file.write_text("".join(map(encode, kept)))

    class Never(LocalExecutor):
        def run(self, tasks, listener, slots=None):
            raise AssertionError(f"nothing is left to do, and there is {tasks}")

    code, text, again = launched(space, tmp_path, Never())
    assert code == 0, text
    assert rungs(again) == rungs(ledger)
    assert {name: trial.state for name, trial in again.state.trials.items()} == {
        name: trial.state for name, trial in ledger.state.trials.items()
    }
    first = next(n for n, event in enumerate(again.events) if isinstance(event, RungReached))
    assert isinstance(again.events[first - 1], Launched)
    assert json.loads((tmp_path / "run" / "report" / "report.json").read_text())


def test_every_file_that_is_read_back_is_made_again_where_it_was_damaged(space, tmp_path):
    """Of a run that is over: its images, its winner's scores and weights, others' scores, baselines, findings and
    pictures. What was damaged is kept, and the report says so."""
    source = space.read_text().replace("scheduler=", 'analyses=("generators",),\n    scheduler=')
    file = tmp_path / "analysed.py"
    file.write_text(source)
    storage = tmp_path / "storage"
    assert launched(file, storage)[0] == 0
    winner = storage / "run" / "trials" / ledger_of(storage).state.closed.best
    missing, *others = [file for file in storage.glob("run/trials/*/scores/*.parquet") if winner not in file.parents]
    files = [
        *others,
        *storage.glob("data/**/*.parquet"), *storage.glob("baselines/**/*.parquet"),
        winner / "rung-1000.json", winner / "scores" / "rung-1000.parquet", *winner.glob("units/*/*/*.safetensors"),
        *storage.glob("run/analyses/**/*.png"), *storage.glob("run/analyses/**/*.json"),
    ]  # fmt: skip
    assert len(files) > 10
    before = {file: file.read_bytes() for file in [*files, missing] if file.name != "rung-1000.json"}
    for damaged in files:
        flip(damaged)
    missing.unlink()
    code, text, _ = launched(file, storage)
    assert code == 0
    assert [str(file) for file, content in before.items() if file.read_bytes() != content] == []
    assert all(is_whole(file) for file in files)
    kept = winner / "scores" / "rung-1000.parquet.damaged"
    assert len(kept.read_bytes()) == len(before[kept.with_suffix("")])
    said = text.count("was damaged and has been made again; what was there is")
    assert said == 1 + len(list(storage.glob("baselines/*/scores.parquet")))
