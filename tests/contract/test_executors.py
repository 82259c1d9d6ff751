"""The two executors keep one contract: the same ids, the same files, the same numbers to the bit.

Six trials of each method, of three rungs under successive halving (KLODS fits in one step: one rung, to the end), begun
under one executor, killed, resumed under the other, killed again, resumed under the first. Compared are whole files,
but for seconds: score tables and weights by their bytes, rungs by every number, the ledger by the order of its rungs.

Two chains each: "local" is begun in this process and goes to Ray and back; "ray" is begun on Ray. The chains that are
begun on Ray of the flow and of KLODS start Ray twice more and are marked slow, as is the launch with two slots.
"""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.execution.local import LocalExecutor
from orchestrator.record.paths import RunPaths
from tests.helpers.commands import Forked, orchestrate
from tests.helpers.launches import request_for, run
from workloads.files import read_checked

ROOT = Path(__file__).parents[2]
RATES = "(3e-3, 1e-4, 1e-2, 3e-4, 6e-3, 1e-3)"  # good ones first, so that others are stopped
HALVING = 'Scheduler(kind="asha", eta=2, first_rung=0.25)'
IMPORTS = "from tune_spaces.schema import Auxiliary, Data, Scheduler, Search, Space\n"
SPACES = {
    "mlsad": f"""
SPACE = Space(
    workload="mlsad",
    data=Data(name="digits", side=16, classes=("3",), max_train_images=60),
    fixed={{
        "width": 0.125, "levels": (1, 4), "generator_epochs": 40.0, "detector_epochs": 4.0, "bank_size": 64,
        "quality_steps": 2, "grey_as_rgb": False,
    }},
    axes={{"detector_lr": {RATES}}},
    search=Search(kind="grid"),
    scheduler={HALVING},
)
""",
    "flow": f"""
SPACE = Space(
    workload="flow",
    data=Data(name="digits", side=16, classes=("3",), auxiliary=(Auxiliary(name="photo_tiles", max_images=64),)),
    fixed={{
        "steps": 2, "hidden": 8, "epochs": 2.0, "general_epochs": 20.0, "batch_size": 16, "general_batch_size": 16,
        "init_batches": 2, "flip": False,
    }},
    axes={{"lr": {RATES}}},
    search=Search(kind="grid"),
    scheduler={HALVING},
    select_by="likelihood",
)
""",
    "klods": """
SPACE = Space(
    workload="klods",
    data=Data(name="digits", side=16, classes=("3",), val_fraction=0.3),
    fixed={
        "steps": 2, "hidden": 8, "epochs": 20.0, "batch_size": 16, "init_batches": 2, "flip": False,
        "group_sizes": (1, 5),
    },
    axes={"split": ("patches_2", "groups_2"), "group_score": ("klods_prior", "klods_train", "typicality")},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
)
""",
}
SECONDS = ("train_seconds", "seconds")
NAME = "run"


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Space files by the method's name."""
    folder = tmp_path_factory.mktemp("spaces")
    for method, text in SPACES.items():
        (folder / f"{method}_contract.py").write_text(f'"""What the executors are compared by."""\n{IMPORTS}{text}')
    return {method: folder / f"{method}_contract.py" for method in SPACES}


@pytest.fixture(scope="module")
def undisturbed(spaces: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """The contents of a method's run in this process, which nothing has disturbed; made once. Every task is pickled."""
    made: dict[tuple[str, str | None], dict[str, Any]] = {}

    def contents_of(method: str, scheduler: str | None = None) -> dict[str, Any]:
        if (method, scheduler) not in made:
            storage = tmp_path_factory.mktemp(method)
            space = spaces[method]
            request = request_for(storage, space, NAME, executor="local", preset=None, scheduler=scheduler)
            code, text = run(request, LocalExecutor(travelling=True))
            assert code == 0, text
            made[method, scheduler] = contents(storage)
        return made[method, scheduler]

    return contents_of


def events(storage: Path) -> list[dict[str, Any]]:
    """All whole lines of the ledger; none where it is not there yet."""
    file = storage / NAME / "ledger" / "000001.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def rungs(storage: Path) -> list[tuple[str, int]]:
    """(trial, rung) in the order of the ledger."""
    return [(event["trial"], event["rung"]) for event in events(storage) if event["event"] == "rung"]


def contents(storage: Path) -> dict[str, Any]:
    """All that must not depend on who has run it, nor on what was killed meanwhile."""
    paths = RunPaths(str(storage), NAME)
    trials, stages = paths.folder / "trials", storage / "stages"
    happened = events(storage)
    states = {event["trial"]: event["state"] for event in happened if event["event"] == "trial"}
    return {
        "trials": {trial["id"]: (trial["point"], trial["stages"]) for trial in happened[0]["trials"]},
        "states": states,
        "rungs": rungs(storage),
        "metrics": {str(file.relative_to(trials)): numbers(file) for file in sorted(trials.rglob("rung-*.json"))},
        "scores": {str(file.relative_to(trials)): file.read_bytes() for file in sorted(trials.rglob("*.parquet"))},
        "weights": {str(file.parent.relative_to(trials)): weights(file) for file in trials.rglob("manifest.json")},
        "stages": {file.parent.name: json.loads(file.read_text()) for file in stages.rglob("manifest.json")},
        "winner": happened[-1]["best"],
    }


def numbers(rung: Path) -> dict[str, Any]:
    values = json.loads(read_checked(rung))
    return {key: value for key, value in values.items() if key not in SECONDS}


def weights(manifest: Path) -> str:
    """The hash of a state's tensors; beside them are seconds."""
    return json.loads(manifest.read_text())["sha256"]["tensors.safetensors"]


def assert_same(storage: Path, expected: dict[str, Any]) -> None:
    """Part by part, so that a failure names what differs; tables of hundreds of kilobytes are not printed."""
    there = contents(storage)
    for part, value in expected.items():
        if part == "scores":
            assert there[part].keys() == value.keys()
            assert [name for name in value if there[part][name] != value[name]] == []
        else:
            assert there[part] == value, part


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of a launcher that is killed: what its Ray leaves behind lies in a folder that is removed."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield os.environ | {"RAY_TMPDIR": folder, "PYTHONPATH": str(ROOT)}
    shutil.rmtree(folder, ignore_errors=True)


class Launcher:
    """Launches of one run by the command line, on one core and one trial at a time."""

    def __init__(self, space: Path, storage: Path, environment: dict[str, str]) -> None:
        self.space, self.storage, self.environment = space, storage, environment

    def start(self, executor: str) -> Forked:
        begun = (self.storage / NAME / "ledger").exists()
        words = ["resume"] if begun else ["launch", str(self.space), "--name"]
        printed = self.storage / "printed"
        return Forked(*words, *self.words(executor), printed=printed, cwd=self.storage, env=self.environment)

    def words(self, executor: str) -> list[str]:
        places = ["--storage", str(self.storage), "--executor", executor]
        return [NAME, *places, "--slots", "1", "--cpus", "1", "--plain"]

    def killed(self, executor: str, moment: Callable[[Path], bool]) -> None:
        """Start, and kill when the moment has come."""
        process = self.start(executor)
        try:
            self.wait(process, moment)
        finally:
            kill(process)

    def ended(self, executor: str) -> None:
        """Go on to the end, in this process: nothing is killed."""
        done = orchestrate("resume", *self.words(executor), cwd=self.storage, no_proxy="*")
        assert done.returncode == 0, done.stdout + done.stderr

    def wait(self, process: Forked, moment: Callable[[Path], bool], seconds: float = 400) -> None:
        deadline = time.monotonic() + seconds
        while not moment(self.storage):
            assert process.poll() is None, self.printed
            assert time.monotonic() < deadline, f"that moment never came\n{self.printed}"
            time.sleep(0.02)

    @property
    def printed(self) -> str:
        return (self.storage / "printed").read_text()


def kill(process: Forked) -> None:
    """SIGKILL, and wait until all that the process had started is gone too: a worker left over would still write.

    Ray's two agents write nothing there, and would stay for a minute: they are ended.
    """
    if process.poll() is not None:
        return
    children = psutil.Process(process.pid).children(recursive=True)
    agents = [child for child in children if name_of(child).endswith("Agent")]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs([child for child in children if child not in agents], timeout=60)
    for child in [*alive, *agents]:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs([*alive, *agents], timeout=10)


def name_of(process: psutil.Process) -> str:
    """What a process of Ray calls itself; empty for one that has ended."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.NoSuchProcess:  # a zombie is one
        return ""


def inside_a_stage(storage: Path) -> bool:
    """A stage is being trained: its lock is there, and its artifact is not."""
    locks = (storage / "stages").glob("*.lock")
    inside = any(not (lock.with_suffix("") / "manifest.json").exists() for lock in locks)
    if inside:
        time.sleep(0.3)  # past the first steps
    return inside


def after_a_rung(storage: Path) -> bool:
    return bool(rungs(storage))


def chain(launcher: Launcher, begins: str, other: str, expected: dict[str, Any]) -> None:
    """Killed inside a stage, killed between two rungs under the other, then run to its end under the first."""
    launcher.killed(begins, inside_a_stage)
    assert list((launcher.storage / "stages").rglob("manifest.json")) == [], "the stage was whole: killed too late"
    launcher.killed(other, after_a_rung)
    reached = rungs(launcher.storage)
    assert 1 <= len(reached) < len(expected["rungs"]), "killed too late"
    launcher.ended(begins)
    assert rungs(launcher.storage)[: len(reached)] == reached
    assert_same(launcher.storage, expected)


@pytest.mark.parametrize("method", SPACES)
def test_an_undisturbed_launch_of_every_method_compares_its_trials(method, undisturbed):
    """The reference itself: every task travels, and successive halving stops some trials and not others."""
    there = undisturbed(method)
    assert len(there["trials"]) == 6
    assert set(there["states"].values()) == ({"finished"} if method == "klods" else {"finished", "stopped"})
    assert {rung for _, rung in there["rungs"]} == ({1000} if method == "klods" else {250, 500, 1000})
    assert there["winner"] in there["trials"]


@pytest.mark.ray
@pytest.mark.parametrize("method", SPACES)
def test_a_run_begun_in_one_process_goes_to_ray_and_back(method, spaces, undisturbed, environment, tmp_path):
    chain(Launcher(spaces[method], tmp_path, environment), "local", "ray", undisturbed(method))


@pytest.mark.ray
@pytest.mark.parametrize(
    "method",
    ["mlsad", pytest.param("flow", marks=pytest.mark.slow), pytest.param("klods", marks=pytest.mark.slow)],
)
def test_a_run_begun_on_ray_goes_to_one_process_and_back(method, spaces, undisturbed, environment, tmp_path):
    chain(Launcher(spaces[method], tmp_path, environment), "ray", "local", undisturbed(method))


@pytest.mark.ray
@pytest.mark.slow
def test_without_early_stopping_two_trials_at_once_are_the_same_numbers(spaces, undisturbed, tmp_path):
    expected = undisturbed("mlsad", "fifo")
    code, text = run(request_for(tmp_path, spaces["mlsad"], NAME, preset=None, scheduler="fifo"))
    assert code == 0, text
    assert sorted(rungs(tmp_path)) == sorted(expected["rungs"])
    assert_same(tmp_path, expected | {"rungs": rungs(tmp_path)})


CHOSEN = f'''"""Four points, two of them chosen as the run goes, each with two seeds."""
{IMPORTS}
SPACE = Space(
    workload="patch_memory",
    data=Data(name="digits", side=8, classes=("3",), max_train_images=20),
    fixed={{"features": "pixels"}},
    axes={{"pooling": (1, 3, 5), "smoothing": (0.0, 0.5, 1.0, 2.0), "neighbours": (1, 2, 3)}},
    search=Search(kind="optuna", points=4, random_start=2, at_once=2),
    scheduler=Scheduler(kind="fifo"),
    seeds=2,
)
'''


@pytest.mark.ray
def test_points_that_a_search_chooses_are_the_same_on_two_slots_of_ray(tmp_path):
    file, chosen = tmp_path / "chosen.py", {}
    file.write_text(CHOSEN)
    for executor in ("local", "ray"):
        storage = tmp_path / executor
        code, text = run(request_for(storage, file, NAME, executor=executor, preset=None))
        assert code == 0, text
        added = [event["trial"] for event in events(storage) if event["event"] == "trial_added"]
        chosen[executor] = {trial["id"]: trial["point"] for trial in added}, contents(storage)["scores"]
    assert len(chosen["local"][0]) == 4
    assert chosen["ray"] == chosen["local"]
