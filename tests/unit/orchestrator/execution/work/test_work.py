"""Work as a generator of rungs: without Ray, picklable, stopped by not being asked, and resumed from its files."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.data.loading import load_splits
from orchestrator.data.shared import SplitsInMemory
from orchestrator.execution.executor import End, RungReport, Task
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.work.baseline import BaselineWork
from orchestrator.execution.work.stage import StageWork, is_made
from orchestrator.execution.work.trial import TrialUnits, TrialWork, rungs_done
from orchestrator.execution.work.worker import UnitWork, Worker, computing, method_of
from orchestrator.record.events import RungMetrics
from orchestrator.record.paths import TrialPaths
from orchestrator.results.evaluation import read_table, write_share
from tests.helpers.files import flip
from tests.helpers.learners import TINY as FLOW
from tests.helpers.works import Heard
from tune_spaces.schema import Auxiliary, Data, Resources
from workloads.mlsad.config import MLSADConfig
from workloads.training.checkpoint import is_complete, load_state

ROOT = Path(__file__).parents[5]
MLSAD = MLSADConfig(
    width=0.0625, levels=(1, 4), generator_epochs=1, detector_epochs=2, batch_size=8, generator_batch_size=8,
    bank_size=16,
)  # fmt: skip
CONFIGS = {"mlsad": MLSAD, "flow": FLOW}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with computing(1):
        yield


@pytest.fixture(scope="module")
def worker() -> Worker:
    return made_worker()


def made_worker() -> Worker:
    auxiliary = (Auxiliary(name="photo_tiles", max_images=40),)
    data = Data(name="digits", side=8, classes=("3", "8"), max_train_images=20, out=("noise",), auxiliary=auxiliary)
    return Worker(SplitsInMemory(load_splits(data, Path("nowhere"), download=False)), torch.device("cpu"))


def drained(work, worker: Worker, most: int | None = None) -> tuple[list[RungReport], End | None]:
    """The rungs, at most so many, and the end. Work travels, so it must survive pickling."""
    rungs, generator = [], pickle.loads(pickle.dumps(work)).run(worker)
    while most is None or len(rungs) < most:
        try:
            rungs.append(next(generator))
        except StopIteration as end:
            return rungs, end.value
    generator.close()
    return rungs, None


def works(name: str, folder: Path, rungs: tuple[int, ...] = (500, 1000)) -> tuple[list[StageWork], TrialWork]:
    """A trial of both targets, and the stages that it needs."""
    config = json.loads(json.dumps(asdict(CONFIGS[name])))
    method = method_of(name, config)
    folders = {str(unit): str(folder / "stages" / str(unit).replace("/", "-")) for unit in method.stages(["3", "8"])}
    stages = [StageWork(name, UnitWork(unit, config), folders[str(unit)]) for unit in method.stages(["3", "8"])]
    units = tuple(UnitWork(unit, config, folders) for unit in method.units(["3", "8"]))
    return stages, TrialWork(name, (TrialUnits("id", str(folder / "trial"), units),), rungs)


@pytest.fixture(scope="module")
def trained(worker, tmp_path_factory):
    """Of a method's name, the folder of a trial that has come to its end, and its stages: made once, to be copied."""

    @cache
    def folder_of(name):
        folder = tmp_path_factory.mktemp(name)
        stages, trial = works(name, folder)
        with computing(1):
            for stage in stages:
                drained(stage, worker)
            drained(trial, worker)
        return folder

    return folder_of


def copy_stages(trained, folder):
    shutil.copytree(trained / "stages", folder / "stages")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_trial_is_trained_scored_and_reported_rung_by_rung(name, worker, tmp_path):
    stages, trial = works(name, tmp_path)
    ends = [drained(stage, worker) for stage in stages]
    rungs, end = drained(trial, worker)
    assert all(not reports and spent.steps > 0 and spent.seconds >= 0 for reports, spent in ends)
    assert [report.rung for report in rungs] == [500, 1000]
    assert end == End()
    paths = TrialPaths(tmp_path / "trial")
    for report in rungs:
        assert report.trial == "id"
        assert report.metrics == RungMetrics.parse(json.loads(paths.rung(report.rung).read_text()))
    unit = trial.trials[0].units[0].unit
    assert is_complete(paths.unit(unit, 1000))
    assert not is_complete(paths.unit(unit, 500)), "a state that a later one has replaced is gone"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_trial_that_nobody_asks_on_resumes_to_the_same_bits(name, worker, trained, tmp_path):
    copy_stages(trained(name), tmp_path)
    _, trial = works(name, tmp_path)
    first, _ = drained(trial, worker, 1)
    rest, _ = drained(trial, worker)
    assert [report.rung for report in first] == [500]
    again, _ = drained(trial, worker)
    for reports in (rest, again):
        assert [report.rung for report in reports] == [500, 1000], (
            "what an earlier attempt left is told again: nobody may have heard of it"
        )
    whole, stopped = (TrialPaths(folder / "trial") for folder in (trained(name), tmp_path))
    assert read_table(whole.scores(1000)).equals(read_table(stopped.scores(1000)))
    unit = trial.trials[0].units[-1].unit
    before, after = (load_state(paths.unit(unit, 1000))["learner"]["net"] for paths in (whole, stopped))
    for key, value in before.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, after[key]), key


def test_states_that_an_attempt_could_not_remove_go_with_the_next(worker, trained, tmp_path):
    copy_stages(trained("mlsad"), tmp_path)
    _, trial = works("mlsad", tmp_path, (250, 500, 1000))
    drained(trial, worker, 2)
    paths, unit = TrialPaths(tmp_path / "trial"), trial.trials[0].units[0].unit
    shutil.copytree(paths.unit(unit, 500), paths.unit(unit, 250))
    drained(trial, worker)
    assert not paths.unit(unit, 250).exists()
    assert is_complete(paths.unit(unit, 1000))


@pytest.mark.parametrize("kind", ["rung-0500.json", "rung-1000.json", "scores/rung-1000.parquet", "weights"])
def test_a_damaged_file_of_a_trial_is_made_again_to_the_same_bits(kind, worker, trained, tmp_path):
    shutil.copytree(trained("mlsad"), tmp_path, dirs_exist_ok=True)
    _, trial = works("mlsad", tmp_path)
    paths, unit = TrialPaths(tmp_path / "trial"), trial.trials[0].units[0].unit
    scores = paths.scores(1000).read_bytes()
    (weights,) = paths.unit(unit, 1000).glob("*.tensors.safetensors")
    before = weights.read_bytes()
    flip(weights if kind == "weights" else tmp_path / "trial" / kind)
    rungs, end = drained(trial, worker)
    assert ([report.rung for report in rungs], end) == ([500, 1000], End())
    assert paths.scores(1000).read_bytes() == scores
    assert weights.read_bytes() == before
    assert rungs_done(trial.trials[0], (500, 1000)) == [500, 1000]


@pytest.mark.parametrize("kind", ["*.tensors.safetensors", "*.state.json", "history.json", "manifest.json"])
def test_a_damaged_stage_is_made_again_to_the_same_bits(kind, worker, tmp_path):
    (stage, *_), _ = works("mlsad", tmp_path)
    _, first = drained(stage, worker)
    (file,) = Path(stage.folder).glob(kind)
    before = file.read_bytes()
    flip(file)
    _, again = drained(stage, worker)
    assert is_made(Path(stage.folder))
    assert again.steps == first.steps
    assert kind == "history.json" or file.read_bytes() == before, "seconds differ, and they are in the history alone"


def test_shares_of_a_rung_that_a_killed_attempt_could_not_remove_go_with_the_next(worker, trained, tmp_path):
    copy_stages(trained("mlsad"), tmp_path)
    _, trial = works("mlsad", tmp_path)
    drained(trial, worker, 1)
    paths = TrialPaths(tmp_path / "trial")
    write_share(paths.scores_share(500, 1), read_table(paths.scores(500)), {})
    drained(trial, worker)
    assert sorted(file.name for file in (tmp_path / "trial" / "scores").glob("*.parquet*")) == [
        f"rung-{rung}.parquet{ending}" for rung in ("0500", "1000") for ending in ("", ".sha256")
    ]


# --- several trials in one task


def two_trials(folder):
    """Two trials that differ in a rate, as one piece of work; and their stages."""
    stages, first = works("mlsad", folder)
    (trial,) = first.trials
    units = tuple(replace(unit, config=unit.config | {"detector_lr": 1e-4}) for unit in trial.units)
    other = TrialUnits("other", str(folder / "other"), units)
    return stages, replace(first, trials=(trial, other))


def files_of(folder):
    """Score tables, and tensors of the detectors, of both trials."""
    files = [*folder.glob("*/scores/*.parquet"), *folder.glob("*/units/**/*.safetensors")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def apart(worker, tmp_path_factory):
    """The files of the same two trials, each in a task of its own."""
    folder = tmp_path_factory.mktemp("apart")
    with computing(1):
        stages, both = two_trials(folder)
        for work in (*stages, *(replace(both, trials=(trial,)) for trial in both.trials)):
            drained(work, worker)
    return files_of(folder)


def test_two_trials_of_one_task_are_trained_in_turns_to_the_bits_that_they_have_apart(worker, trained, tmp_path, apart):
    copy_stages(trained("mlsad"), tmp_path)
    _, both = two_trials(tmp_path)
    rungs, end = drained(both, worker)
    assert [(report.trial, report.rung) for report in rungs] == [
        ("id", 500), ("other", 500), ("id", 1000), ("other", 1000)
    ]  # fmt: skip
    assert end == End()
    assert files_of(tmp_path) == apart


def test_two_trials_of_one_task_that_was_killed_go_on_where_each_of_them_was(worker, trained, tmp_path, apart):
    copy_stages(trained("mlsad"), tmp_path)
    _, both = two_trials(tmp_path)
    first, _ = drained(both, worker, 1)
    assert [(report.trial, report.rung) for report in first] == [("id", 500)]
    rest, _ = drained(both, worker)
    assert len(rest) == 4
    assert files_of(tmp_path) == apart


def test_a_trial_of_two_that_is_stopped_is_left_and_the_other_goes_on(worker, tmp_path):
    stages, both = two_trials(tmp_path)
    executor = LocalExecutor()
    executor.splits = worker.splits
    tasks = [Task(f"stage/{number}", stage, Resources()) for number, stage in enumerate(stages)]
    heard = Heard(stop_at=("id", 500))
    executor.run([*tasks, Task("trial/both", both, Resources())], heard)
    reported = [event[1:] for event in heard.events if event[0] == "reported"]
    assert reported == [("id", 500), ("other", 500), ("other", 1000)]
    assert not TrialPaths(tmp_path / "trial").rung(1000).exists()
    assert heard.events[-1] == ("ended", "trial/both", "")


def test_a_stage_that_is_there_is_not_made_again(worker, tmp_path):
    (stage, *_), _ = works("mlsad", tmp_path)
    _, first = drained(stage, worker)
    files = {file: file.stat().st_mtime_ns for file in Path(stage.folder).iterdir()}
    _, again = drained(stage, worker)
    assert again == first, "what it took is known all the same"
    assert {file: file.stat().st_mtime_ns for file in Path(stage.folder).iterdir()} == files


def test_progress_is_of_all_networks_together(worker, trained, tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr("workloads.training.loop.SHOW_EVERY", -1.0)
    monkeypatch.setattr(worker, "progress", lambda done, total, text: notes.append(done / total), raising=False)
    copy_stages(trained("mlsad"), tmp_path)
    _, trial = works("mlsad", tmp_path)
    drained(trial, worker)
    assert notes == sorted(notes)
    assert notes[-1] == pytest.approx(1)


def test_a_baseline_is_scored_for_every_target(worker, tmp_path):
    drained(BaselineWork("5-NN", str(tmp_path / "scores.parquet")), worker)
    table = read_table(tmp_path / "scores.parquet")
    assert set(table["target"].to_pylist()) == {"3", "8"}
    assert np.isfinite(table["score"].to_numpy()).all()


def test_the_process_is_left_as_it_was():
    before = torch.get_num_threads()
    with computing(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


FRESH = """
import sys
from pathlib import Path

sys.modules["ray"] = None
import torch, sklearn.neighbors, threadpoolctl
from orchestrator.execution.work.worker import computing

before = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
with computing(1):
    pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    print(max(before), pools, torch.get_num_threads(), flush=True)

from tests.unit.orchestrator.execution.work import test_work as t

worker = t.made_worker()
for name in t.CONFIGS:
    stages, trial = t.works(name, Path(sys.argv[1]) / name, (1000,))
    with t.computing(1):
        for work in (*stages, trial):
            rungs, _ = t.drained(work, worker)
    print(name, [report.rung for report in rungs], flush=True)
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What a process of its own, where importing Ray fails, prints: pools of threads, then the rungs of each method."""
    shell = {**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    words = [sys.executable, "-c", FRESH, str(tmp_path_factory.mktemp("fresh"))]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=shell)


def test_the_threads_are_the_claims_whatever_the_shell_says(fresh):
    """Of torch, and of the libraries under NumPy and scikit-learn."""
    assert fresh.stdout.split("\n")[0] == "2 {1} 1", fresh.stderr


def test_work_needs_no_ray(fresh):
    assert fresh.returncode == 0, fresh.stderr
    assert fresh.stdout.splitlines()[1:] == [f"{name} [1000]" for name in CONFIGS]
