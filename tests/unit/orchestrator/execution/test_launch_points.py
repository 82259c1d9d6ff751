"""Launches in this process whose points are chosen as they go, or repeated with several seeds."""

import pytest

from orchestrator.execution.launch import launch
from orchestrator.execution.local import LocalExecutor
from orchestrator.record.events import RungReached, TrialAdded
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import DONE, Outcome, State
from tests.helpers.launches import request_for

pytestmark = pytest.mark.usefixtures("unmirrored")

CHOSEN = '''"""Eight points of a method that trains nothing, four of them chosen."""

from tune_spaces.schema import Data, Scheduler, Search, Space

SPACE = Space(
    workload="patch_memory",
    data=Data(name="digits", side=8, classes=("3",), max_train_images=20),
    fixed={"features": "pixels"},
    axes={"pooling": (1, 3, 5), "smoothing": (0.0, 0.5, 1.0, 2.0), "neighbours": (1, 2, 3)},
    search=Search(kind="optuna", points=8, random_start=4, at_once=2),
    scheduler=Scheduler(kind="fifo"),
)
'''
REPEATED = '''"""Two points, three seeds, two rungs, in seconds."""

from tune_spaces.schema import Data, Scheduler, Search, Space

SPACE = Space(
    workload="mlsad",
    data=Data(name="digits", side=8, classes=("3",), max_train_images=20),
    fixed={
        "width": 0.0625, "levels": (1,), "generator_epochs": 1.0, "detector_epochs": 2.0, "bank_size": 16,
        "generator_batch_size": 8, "quality_steps": 1, "grey_as_rgb": False,
    },
    axes={"detector_lr": (1e-5, 1e-2)},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="asha", eta=2, first_rung=0.5),
    seeds=3,
)
'''


class Dying(LocalExecutor):
    """Is interrupted at the attempt of this number."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def attempt(self, task):
        self.left -= task.kind == "trial"
        if self.left < 0:
            raise KeyboardInterrupt
        return (yield from super().attempt(task))


def launched(storage, text, executor=None):
    """(its end, its ledger)."""
    file = storage.parent / "space.py"
    file.write_text(text)
    finished = launch(request_for(storage, file, "run", executor="local", preset=None), executor=executor)
    return finished, Ledger(RunPaths(str(storage), "run"))


def points(ledger):
    return [trial.point for trial in ledger.state.trials.values()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    finished, ledger = launched(tmp_path_factory.mktemp("chosen") / "storage", CHOSEN)
    assert finished.outcome == Outcome.COMPLETE
    return ledger


def test_a_search_tries_as_many_points_as_it_may_and_chooses_those_after_its_random_start(undisturbed):
    assert len(points(undisturbed)) == 8
    assert len(undisturbed.state.opened.trials) == 4
    assert sum(isinstance(event, TrialAdded) for event in undisturbed.events) == 4
    assert {trial.state for trial in undisturbed.state.trials.values()} == {State.FINISHED}


@pytest.mark.parametrize("at", [5])
def test_a_search_that_was_interrupted_goes_on_with_the_same_trials(undisturbed, tmp_path, at):
    finished, _ = launched(tmp_path / "storage", CHOSEN, Dying(at))
    assert finished.outcome == Outcome.INTERRUPTED
    finished, ledger = launched(tmp_path / "storage", CHOSEN)
    assert finished.outcome == Outcome.COMPLETE
    assert list(ledger.state.trials) == list(undisturbed.state.trials)
    assert points(ledger) == points(undisturbed)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    finished, ledger = launched(tmp_path_factory.mktemp("repeated") / "storage", REPEATED)
    assert finished.outcome == Outcome.COMPLETE
    return ledger


def test_each_point_is_three_trials_with_the_ids_of_ordinary_ones(repeated, tmp_path):
    assert [(p["detector_lr"], p["seed"]) for p in points(repeated)] == [
        (lr, seed) for lr in (1e-5, 1e-2) for seed in (0, 1, 2)
    ]
    axis = REPEATED.replace('"detector_lr": (1e-5, 1e-2)', '"detector_lr": (1e-2,), "seed": (1,)')
    _, alone = launched(tmp_path / "storage", axis.replace("    seeds=3,\n", ""))
    assert set(alone.state.trials) < set(repeated.state.trials)


def test_the_rule_is_asked_once_all_seeds_of_a_point_have_reached_the_rung(repeated):
    trials = repeated.state.trials.values()
    states = {lr: {trial.state for trial in trials if trial.point["detector_lr"] == lr} for lr in (1e-5, 1e-2)}
    assert states == {1e-5: {State.FINISHED}, 1e-2: {State.STOPPED}}, "each point with all its seeds"
    first = [event.trial for event in repeated.events if isinstance(event, RungReached)][:3]
    assert len(first) == len(set(first)), "nobody reaches the second rung before the others have reached the first"


@pytest.mark.parametrize("at", [4, 7])
def test_repeated_points_that_were_interrupted_come_to_the_same_end(repeated, tmp_path, at):
    launched(tmp_path / "storage", REPEATED, Dying(at))
    finished, ledger = launched(tmp_path / "storage", REPEATED)
    assert finished.outcome == Outcome.COMPLETE
    assert all(trial.state in DONE for trial in ledger.state.trials.values())
    ends = {name: (trial.state, trial.metric("contrastive")) for name, trial in ledger.state.trials.items()}
    assert ends == {name: (t.state, t.metric("contrastive")) for name, t in repeated.state.trials.items()}


def test_a_seed_that_fails_is_not_waited_for(tmp_path):
    class Failing(LocalExecutor):
        def attempt(self, task):
            if task.trials and dict(task.trials[0].units[0].config)["seed"] == 2:
                raise ValueError("no memory")
            return (yield from super().attempt(task))

    finished, ledger = launched(tmp_path / "storage", REPEATED, Failing())
    states = [trial.state for trial in ledger.state.trials.values()]
    assert finished.outcome == Outcome.SOME_FAILED
    assert sorted(states) == sorted([State.FAILED] * 2 + [State.FINISHED] * 2 + [State.STOPPED] * 2)
