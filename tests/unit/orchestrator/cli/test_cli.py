"""The command line as a user types it: exit codes, all errors at once, nothing heavy on the way."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli import VisibleLines
from tests.helpers.commands import orchestrate, orchestrate_apart
from tests.helpers.records import ledger_at, opened

ROOT = Path(__file__).parents[4]


def test_every_problem_of_space_and_options_is_named_at_once(tmp_path):
    done = orchestrate(
        "launch",
        "sweep_cifar10",
        "--preset",
        "papr",
        "--search",
        "grd",
        "--set",
        "nois=3",
        "--class",
        "frg",
        cwd=tmp_path,
    )
    assert done.returncode == 2
    for expected in (
        "--preset",
        "'paper'",
        "data.classes",
        "'frog'",
        "fixed.nois",
        "'noise'",
        "search.kind",
        "'random'",
    ):
        assert expected in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not list(tmp_path.iterdir()), "nothing may be written before the space is right"


def test_an_unknown_space_names_the_nearest():
    done = orchestrate_apart("launch", "sweep_digit")
    assert done.returncode == 2
    assert "did you mean 'sweep_digits'?" in done.stderr


def test_missing_cifar10_ends_with_3_and_says_how_to_get_it(tmp_path):
    words = ["launch", "sweep_cifar10", "--data-dir", tmp_path / "nowhere", "--storage", tmp_path / "runs"]
    done = orchestrate(*words, "--executor", "local")  # Ray would start meanwhile, and end
    assert done.returncode == 3
    for expected in ("cifar10", str(tmp_path / "nowhere"), "cifar-10", "sweep_digits"):
        assert expected in done.stderr
    assert not (tmp_path / "runs").exists(), "no work may start without the data"


def test_a_dry_run_prints_the_plan_of_the_published_grid(tmp_path):
    done = orchestrate("launch", "sweep_cifar10", "--search", "grid", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    for expected in ("864", "batch_size", "8, 16, 32, 64", "30 stages", "estimate", "resume"):
        assert expected in done.stdout
    assert not list(tmp_path.iterdir())


LIGHT = """
import sys
from tests.helpers.commands import orchestrate

for line in sys.argv[1:]:
    code, *words = line.split()
    done = orchestrate(*words)
    assert done.returncode == int(code), (line, done.stderr)
    heavy = {"torch", "ray", "mlflow", "sklearn", "scipy.stats"} & set(sys.modules)
    assert not heavy, (line, heavy)
"""


def test_light_verbs_and_errors_of_usage_import_neither_torch_nor_ray(tmp_path):
    """All in one fresh process, one after the other: the first that imports what it should not is named."""
    shutil.copytree(ROOT / "tests" / "data" / "format_1_run", tmp_path / "runs")
    calls = [
        "0 --help",
        "0 launch --help",
        "0 launch sweep_digits --dry-run",
        "0 spaces ls",
        "0 plan sweep_digits --nodes 4",
        "0 cluster render aws",
        "0 latents score -h",
        "0 data ls",
        "2 launch sweep_digit",
        "2 launch sweep_digits --set nois=3",
        "2 status nowhere",
        "0 runs ls",
        "0 status digits --json",
        "0 report digits",
        "2 compare digits digits",
        "0 analyse digits",
    ]
    in_storage = [call.split()[1] in ("status", "runs", "report", "compare", "analyse") for call in calls]
    lines = [f"{call} --storage {tmp_path}/runs" if at else call for call, at in zip(calls, in_storage, strict=True)]
    done = subprocess.run([sys.executable, "-c", LIGHT, *lines], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


TYPED = {"COMP_WORDS": "anomaly-orchestrator la", "COMP_CWORD": "1"}
SCRIPT = "import sys; sys.argv = ['anomaly-orchestrator', *sys.argv[1:]]; from orchestrator.cli import main; main()"


@pytest.mark.parametrize(
    ("words", "variables"),
    [(["--help"], {}), ([], TYPED | {"_ANOMALY_ORCHESTRATOR_COMPLETE": "complete_bash"})],
    ids=["help", "completion"],
)
def test_help_and_completion_take_less_than_a_third_of_a_second(words, variables):
    """Seconds of CPU, which a busy machine stretches less than wall time; the best of three."""

    def cpu_seconds():
        before = os.times()
        command = [sys.executable, "-c", SCRIPT, *words]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, cwd=ROOT, timeout=60)
        assert "launch" in done.stdout, done.stderr
        return sum(os.times()[2:4]) - sum(before[2:4])

    assert min(cpu_seconds() for _ in range(3)) < 0.3


@pytest.mark.parametrize(
    "value",
    ["{[]:1}", "-" * 20_000 + "1", "1+" * 20_000 + "1", "__import__('os')"],
    ids=["key", "minus", "sum", "call"],
)
def test_an_odd_value_of_a_key_is_text_and_refused_without_a_traceback(value):
    done = orchestrate("launch", "sweep_digits", "--set", f"lambda_entropy={value}", "--dry-run")
    assert done.returncode == 2
    assert "lambda_entropy" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_of_an_unknown_run_names_the_nearest(tmp_path):
    ledger_at(tmp_path, "my-run", opened())
    done = orchestrate("status", "my-rum", "--storage", tmp_path)
    assert done.returncode == 2
    assert "my-run" in done.stderr


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden"])
def test_a_run_name_cannot_leave_the_storage(name, tmp_path):
    done = orchestrate("launch", "sweep_digits", "--dry-run", "--name", name, "--storage", tmp_path / "runs")
    assert done.returncode == 2
    assert "cannot name a run" in done.stderr


def test_a_copied_space_launches_and_a_copy_never_overwrites(tmp_path):
    assert orchestrate("spaces", "cp", "sweep_digits", tmp_path / "mine.py").returncode == 0
    assert orchestrate("launch", tmp_path / "mine.py", "--dry-run").returncode == 0
    assert orchestrate("spaces", "cp", "sweep_digits", tmp_path / "mine.py").returncode == 2


def test_a_broken_space_file_is_named_without_a_traceback(tmp_path):
    (tmp_path / "bad.py").write_text("SPACE = Space(")
    done = orchestrate("launch", tmp_path / "bad.py", "--dry-run")
    assert done.returncode == 2
    assert "SyntaxError" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_of_the_whole_sweep_cannot_be_an_axis_and_batches_must_divide(tmp_path):
    (tmp_path / "bad.py").write_text(
        "from tune_spaces.schema import *\n"
        "SPACE = Space(data=Data(name='digits', side=16), axes={'quality_steps': (1, 2), 'levels': ((1,), (1, 2))})\n"
    )
    done = orchestrate("launch", tmp_path / "bad.py")
    assert done.returncode == 2
    assert "axes.quality_steps: is one value a sweep" in done.stderr
    assert "axes.levels: is one value a sweep" in done.stderr
    done = orchestrate("launch", "sweep_digits", "--workers", 3, "--share", "batches", "--dry-run")
    assert done.returncode == 2
    assert "batch_size: 8 cannot be shared equally by 3 workers" in done.stderr


def test_an_unknown_storage_protocol_is_no_traceback(tmp_path):
    done = orchestrate("launch", "sweep_digits", "--dry-run", "--storage", "foo://bucket/runs")
    assert done.returncode in (0, 1, 2, 3)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("folder", ["--choose", "0.1"], "this is for tiny_images and webdataset, not for folder"),
        ("folder", ["--near", "4"], "near copies of what?"),
        ("folder", ["--without", "cifar1"], "did you mean: cifar10"),
        ("folders", [], "did you mean: folder"),
        ("folder", ["--address", "10.0.0.1"], "is no cluster's"),
    ],
)
def test_prepare_names_what_it_cannot_use_before_it_writes_anything(tmp_path, kind, words, message):
    done = orchestrate("data", "prepare", kind, "--source", tmp_path, "--out", tmp_path / "out", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_logged_of_a_file_commands_no_terminal():
    record = logging.LogRecord("workloads", logging.WARNING, "", 0, "left out %s", ("\x1b[2Jx.png",), None)
    assert VisibleLines().format(record) == "left out \\x1b[2Jx.png"
