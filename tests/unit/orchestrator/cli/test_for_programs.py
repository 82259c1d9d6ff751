"""What programs and shells read: JSON with the version of its schema, quiet verbs, the version, completion."""

import inspect
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import typer

from orchestrator.cli import app
from orchestrator.console.output import SCHEMA, facts_of
from tests.helpers.commands import orchestrate
from tests.helpers.files import write_images

STORED = Path(__file__).parents[3] / "data" / "format_1_run"
AS_THEY_ARE = {
    "logs", "stop", "spaces show", "spaces cp",
    "cluster render", "cluster validate", "cluster launch", "cluster stop",
}  # fmt: skip
"""Verbs whose output is a file, what others have written, or a sentence."""


def verbs(group: typer.Typer, before=""):
    for command in group.registered_commands:
        yield f"{before}{command.name}", command.callback
    for inner in group.registered_groups:
        yield from verbs(inner.typer_instance, f"{before}{inner.name} ")


def test_every_verb_that_prints_facts_has_json():
    without = {name for name, verb in verbs(app) if "as_json" not in inspect.signature(verb).parameters}
    assert without == AS_THEY_ARE


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("launch sweep_digits --dry-run", "trials"),
        ("plan sweep_digits --nodes 1 --nodes 4", "nodes"),
        ("spaces ls", "spaces"),
        ("data ls", "sets"),
        ("data check photos --side 32", "classes"),
        ("runs ls", "runs"),
        ("runs show digits", "run"),
        ("runs gc", "removal"),
        ("status digits", "trials"),
        ("analyse digits", "analyses"),
        ("report digits", "table"),
    ],
)
def test_json_says_the_version_of_its_schema_and_nothing_else_is_printed(words, key, tmp_path):
    shutil.copytree(STORED, tmp_path / "runs")
    write_images(tmp_path, {"photos/good": 12, "photos/bad": 4}, (32, 32))
    done = orchestrate(*words.split(), "--json", cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert facts["schema"] == SCHEMA
    assert facts[key] or words == "data ls"


def test_the_status_of_a_cluster_file_is_no_json(tmp_path):
    done = orchestrate("cluster", "status", "cluster.yaml", "--json", "--dry-run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "give --address" in done.stderr


def test_facts_that_json_lacks_are_null_text_or_lists():
    facts = {"a": np.array([[1.0, np.nan]]), "b": Path("x"), 3: (np.float64(0.5), {"c"}), "planted": "\x9b2J"}
    assert facts_of(facts) == {"a": [[1.0, None]], "b": "x", "3": [0.5, ["c"]], "planted": "\x9b2J"}
    assert "\x9b" not in json.dumps(facts_of(facts))


def test_a_quiet_verb_prints_nothing(tmp_path):
    done = orchestrate("launch", "sweep_digits", "--dry-run", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_version_is_the_packages():
    assert orchestrate("--version").stdout.split() == ["anomaly-orchestrator", version("anomaly-orchestrator")]


LINE = "anomaly-orchestrator la"
COMPLETED = {
    "bash": {"COMP_WORDS": LINE, "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": LINE},
    "fish": {"_TYPER_COMPLETE_ARGS": LINE, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("shell", COMPLETED)
def test_a_shell_completes_verbs(shell, monkeypatch, capsys):
    variable = "_ANOMALY_ORCHESTRATOR_COMPLETE"
    texts = {}
    for action in ("source", "complete"):
        for name, value in (COMPLETED[shell] | {variable: f"{action}_{shell}"}).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit):
            typer.main.get_command(app).main(args=[], prog_name="anomaly-orchestrator")
        texts[action] = capsys.readouterr().out
    assert variable in texts["source"]
    assert "launch" in texts["complete"]
    assert "latents" in texts["complete"]
    assert "resume" not in texts["complete"]
