"""The Python door: light to import, the same files as the command line, and every way to ask wrongly."""

import json
import shutil
import subprocess
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

import orchestrator
from orchestrator import UserError
from orchestrator.cli.options import DEFAULT_DATA, DEFAULT_STORAGE
from orchestrator.execution.from_request import APART
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.observer import Observer
from orchestrator.planning import options, request
from tests.helpers.commands import orchestrate
from tests.helpers.records import ledger_at, opened
from tune_spaces.schema import Data, Space

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "ray", "mlflow", "pandas", "numpy", "pydantic", "rich"}
SMALL = {"preset": "smoke", "points": 2, "classes": ["3"], "executor": "local"}
LEVELS = (1, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    storage = tmp_path_factory.mktemp("storage")
    return orchestrator.launch("sweep_digits", storage=storage, name="door", config={"levels": LEVELS}, **SMALL)


def test_importing_the_doors_imports_nothing_heavy():
    code = f"import sys, orchestrator, workloads; print(*({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_plan_imports_neither_torch_nor_ray(tmp_path):
    code = (
        "import sys, orchestrator\n"
        f"orchestrator.plan('sweep_digits', preset='smoke', storage={str(tmp_path)!r})\n"
        "print(*({'torch', 'ray', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_name_of_the_door_is_there_and_documented():
    assert set(orchestrator.__all__) <= set(dir(orchestrator))
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name).__doc__, name


def test_the_doors_options_and_defaults_are_the_command_lines():
    assert set(options.Keywords.__annotations__) == {*options.Changes.__annotations__, *APART}
    defaults = signature(orchestrator.launch).parameters
    assert (defaults["storage"].default, defaults["data_dir"].default) == (DEFAULT_STORAGE, DEFAULT_DATA)
    assert (DEFAULT_STORAGE, DEFAULT_DATA) == (request.DEFAULT_STORAGE, request.DEFAULT_DATA)


def numbers(storage, name):
    """Everything in a run's folders that says what it computed: bytes by path, times apart."""
    folder = Path(storage)
    files = {}
    for file in sorted(folder.rglob("*")):
        path = str(file.relative_to(folder))
        if path.startswith(("mlflow.db", "mlartifacts", "rates.json")) or "/ledger/" in path or file.is_dir():
            continue
        if file.suffix in (".parquet", ".safetensors", ".csv"):
            files[path] = file.read_bytes()
        elif file.name.startswith("rung-") and file.suffix == ".json":
            untimed = json.loads(file.read_text().partition("\n#")[0]) | {"train_seconds": 0, "seconds": {}}
            files[path] = json.dumps(untimed, sort_keys=True)
    assert any(path.startswith(f"{name}/trials") for path in files)
    return files


def test_the_command_line_and_the_door_write_equal_files(run, tmp_path):
    words = ["sweep_digits", "--preset", "smoke", "--points", 2, "--class", 3, "--executor", "local", "--name", "door"]
    done = orchestrate("launch", *words, "--set", f"levels={LEVELS}", "--storage", tmp_path, "--plain")
    assert done.returncode == 0, done.stderr
    expected, written = numbers(run.storage, "door"), numbers(tmp_path, "door")
    assert written.keys() == expected.keys()
    assert [path for path in written if written[path] != expected[path]] == []
    assert any(path.endswith(".safetensors") for path in written)


def test_nothing_is_printed_without_an_observer(tmp_path, capfd):
    asked = {"storage": tmp_path, "config": {"levels": (1,)}, "preset": "smoke", "points": 1, "classes": ["3"]}
    orchestrator.plan("sweep_digits", **asked)
    orchestrator.launch("sweep_digits", executor=LocalExecutor(), **asked)
    assert capfd.readouterr().out == ""


def test_a_run_shows_its_numbers(run):
    assert (run.name, run.outcome, run.plan.targets) == ("door", "complete", ("3",))
    assert list(run.table.columns) == ["3", "mean"]
    measured = run.table.loc[("measured (custom schedule)", "MLSAD"), "mean"]
    assert measured == run.trials.loc[run.best.id, "oracle"] == run.best.metric("oracle")
    assert set(run.trials["state"]) == {"finished"}
    assert list(run.trials["schedule"]) == [1.0, 1.0]
    assert {"batch_size", "noise", "contrastive", "auroc/3"} <= set(run.trials.columns)
    assert run.report.exists()
    assert "not all levels: without D_2, D_8, D_16" in run.warnings
    assert "maps" in run.analyses


def test_a_runs_scores_are_those_of_the_winner_unless_another_is_named(run):
    table = run.scores(split="test")
    assert set(table["part"].to_pylist()) == {"all"}
    assert set(run.scores(part=None)["part"].to_pylist()) == {"all", "level_1", "level_4"}
    (other,) = set(run.trials.index) - {run.best.id}
    assert not run.scores(other, split="test").equals(table)
    for wrong, hint in (({"split": "tset"}, "'test'"), ({"part": "level_5"}, "level_"), ({"trial": "x"}, run.best.id)):
        with pytest.raises(UserError, match=hint):
            run.scores(**wrong)


def test_runs_are_found_again_and_resumed(run):
    assert [again.name for again in orchestrator.runs(run.storage)] == ["door"]
    launches = run.state.launches
    resumed = orchestrator.resume("door", storage=run.storage, executor="local")
    assert resumed.outcome == "complete"
    assert run.state.launches == launches + 1, "the handle reads the ledger again"
    with pytest.raises(UserError, match="'door'"):
        orchestrator.open_run("dor", run.storage)
    assert orchestrator.runs(Path(run.storage) / "nowhere") == []


def test_a_loaded_detector_gives_the_scores_of_the_run(run):
    import pyarrow.compute as pc

    from orchestrator.data.split_store import SplitStore

    splits = SplitStore(run.paths).read(run.state.opened.identity.data)
    detector = orchestrator.load(run)
    assert detector.target == "3"
    table = run.scores(split="test")
    assert table["image_id"].to_pylist() == list(splits.test.ids)
    scores = detector.score(splits.test.images.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(scores, table["score"].to_numpy(), rtol=1e-4, atol=1e-6)
    assert detector.parts(splits.test.images[:2, 0]).keys() == {"level_1", "level_4"}
    assert pc.count(table["score"]).as_py() == len(scores)
    with pytest.raises(UserError, match="valid: 3"):
        orchestrator.load(run, "cat")


def test_an_analysis_joins_the_report(run):
    orchestrator.analyse(run, "position")
    assert "position/3" in run.state.analyses
    with pytest.raises(UserError, match="'position'"):
        orchestrator.analyse(run, "positoin")


def test_a_space_in_memory_is_planned_and_cannot_travel(tmp_path):
    space = Space(data=Data(name="digits", side=16, classes=("3",)), fixed={"noise": 0.0})
    plan = orchestrator.plan(space, storage=tmp_path, config={"width": np.float64(0.25)})
    assert plan.space.fixed == {"noise": 0.0, "width": 0.25}
    with pytest.raises(UserError, match="cannot travel"):
        orchestrator.submit(space, address="http://127.0.0.1:9", storage="/shared")


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"pionts": 3}, "'points'"),
        ({"preset": "smok"}, "'smoke'"),
        ({"config": {"nois": 0.1}}, "'noise'"),
        ({"config": {"noise": "much"}}, "noise"),
        ({"executor": "lokal"}, "'local'"),
        ({"address": "head:8265"}, "no cluster"),
        ({"name": "../elsewhere"}, "cannot name a run"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(wrong, hint, tmp_path):
    with pytest.raises(UserError) as refused:
        orchestrator.launch("sweep_digits", storage=tmp_path / "runs", **wrong)
    assert hint in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_run_that_never_ended_says_what_to_do(tmp_path):
    ledger_at(tmp_path, "begun", opened())
    begun = orchestrator.open_run("begun", tmp_path)
    assert list(begun.trials["state"]) == ["pending"]
    for ask in (lambda: begun.best, lambda: begun.table, lambda: orchestrator.load(begun, "3"), lambda: begun.report):
        with pytest.raises(UserError):
            ask()


def test_fitting_an_array_gives_the_detector_of_a_run_of_the_same_images(run):
    """The same numbers with and without the orchestra."""
    import torch

    import workloads
    from orchestrator.data.split_store import SplitStore

    splits = SplitStore(run.paths).read(run.state.opened.identity.data)
    train, val, tested = (part.images.transpose(0, 2, 3, 1) for part in (splits.train, splits.val, splits.test))
    torch.set_num_threads(1)
    fitted = workloads.fit("mlsad", train, run.best.config, validation=val, target="3", device="cpu")
    expected = orchestrator.load(run, device="cpu")
    np.testing.assert_allclose(fitted.score(tested), expected.score(tested), rtol=1e-6)
    assert fitted.remarks == expected.remarks


class Interrupting(Observer):
    """Somebody presses Ctrl-C when the trials begin."""

    def phase(self, name):
        if name == "trials":
            raise KeyboardInterrupt


def test_an_interrupted_launch_returns_a_run_that_is_resumed(tmp_path):
    config = {"levels": (1,)}
    run = orchestrator.launch("sweep_digits", storage=tmp_path, config=config, observer=Interrupting(), **SMALL)
    assert run.outcome == "interrupted"
    assert set(run.trials["schedule"]) == {0.0}
    assert orchestrator.resume(run, executor="local").outcome == run.outcome == "complete"


def test_a_run_of_an_earlier_version_is_read(tmp_path):
    shutil.copytree(ROOT / "tests" / "data" / "format_1_run", tmp_path / "runs")
    (run,) = orchestrator.runs(tmp_path / "runs")
    assert run.table.loc[:, "mean"].between(0, 1).all()
    assert len(run.trials) == len(run.state.trials)
    assert run.scores(split="test").num_rows > 0
    with pytest.raises(UserError, match="made with other code"):
        orchestrator.resume(run, executor="local")
