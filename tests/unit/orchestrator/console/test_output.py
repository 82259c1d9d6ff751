"""What reaches a terminal or a pipe: widths, padding, and characters that would command it."""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from orchestrator.console.auroc_view import AurocTable
from orchestrator.console.output import console, say, visible, warn
from orchestrator.console.prediction_view import print_predicted
from orchestrator.console.result_view import print_result, results_facts, trials_table
from orchestrator.console.terminal import Terminal
from orchestrator.inference.predict import Predicted
from orchestrator.record.state import State
from orchestrator.results.run import conclude
from orchestrator.results.tables import KINDS, LEAK, Row, Table
from tests.helpers.commands import orchestrate
from tests.helpers.sweeps import made_sweep
from workloads.data.reading.account import Account
from workloads.scoring.thresholds import HeldOut

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
WIDTHS = (60, 80, 120)


def piped(shown, monkeypatch, columns=None):
    """The lines of something printed where no terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    with redirect_stdout(stream):
        out = console()
        say(out, shown) if isinstance(shown, str) else out.print(shown)
    return stream.getvalue().splitlines()


def table_of(classes, **changes):
    values = {name: 0.5 + number / 2000 for number, name in enumerate(classes)}
    return Table(
        classes, (Row("MLSAD", KINDS["reduced"], values, 0.123, **changes), Row("5-NN", "baseline", values, 0.5))
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_every_class_and_the_mean_beside_the_method_fit_any_width(width, monkeypatch):
    lines = piped(AurocTable(table_of(CLASSES)), monkeypatch, width)
    assert max(map(len, lines)) <= width
    assert not any(line.endswith(" ") for line in lines)
    (first, *_) = [line.split() for line in lines if line.startswith("MLSAD")]
    assert first[1] == ".123", "the mean comes first"
    shown = [cell for line in lines if line.startswith("MLSAD") for cell in line.split()[1:]]
    assert shown == [".123", *(f"{0.5 + number / 2000:.3f}"[1:] for number in range(len(CLASSES)))]


def test_of_very_many_classes_the_lowest_stand_beside_the_mean(monkeypatch):
    lines = piped(AurocTable(table_of(tuple(f"class {number}" for number in range(400)))), monkeypatch, 60)
    assert "the lowest of 400 classes; the report has them all" in lines
    (row, *_) = (line.split() for line in lines if line.startswith("MLSAD"))
    assert row[:3] == ["MLSAD", ".123", ".500"]
    assert len(lines) < 20


def test_a_leak_says_so_in_every_block(monkeypatch):
    lines = piped(AurocTable(table_of(CLASSES, leak=True)), monkeypatch, 60)
    assert sum("MLSAD" in line for line in lines) == " ".join(lines).count(LEAK) > 1


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_of_a_trial_is_cut(width, tmp_path, monkeypatch):
    _, state = made_sweep(tmp_path, 12, ["3"], images=50)
    axes = state.varying
    assert axes == ["blocks", "pooling", "seed"], "of six keys three vary"
    lines = piped(trials_table(state, axes, {}, 12, width), monkeypatch, width)
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "…" not in text
    for number, trial in enumerate(state.trials.values(), 1):
        (line,) = (line for line in lines if f"#{number} " in line)
        assert f"{trial.metric('oracle'):.3f}" in line
    assert ("t0003" in text) == (width >= 80)


def test_a_line_is_folded_only_where_columns_are_asked_for(monkeypatch):
    text = "word " * 40 + "end"
    assert piped(text, monkeypatch) == [text]
    assert max(map(len, piped(text, monkeypatch, 60))) <= 60


@pytest.mark.parametrize("planted", ["\x1b[31mred\x1b[0m", "a\x07b", "a\rb", "a\x9b2Jb", "a\u202eb", "a\udcffb"])
def test_control_characters_of_a_name_never_reach_the_terminal(planted, tmp_path, monkeypatch):
    shown = [piped(planted, monkeypatch), piped(AurocTable(table_of((planted,))), monkeypatch, 60)]
    message = orchestrate("status", "run", "--storage", tmp_path / planted.encode("ascii", "replace").decode()).stderr
    texts = ["".join(line) for line in shown] + [message.replace("\n", "")]
    assert all(text == visible(text) for text in texts)
    assert visible(planted) != planted


@pytest.mark.parametrize("columns", ["0", "00", "-5", "many"])
def test_a_width_that_is_none_is_ignored_on_a_terminal_too(columns, monkeypatch):
    monkeypatch.setattr("sys.stdout", terminal := Tty())
    monkeypatch.setenv("COLUMNS", columns)
    console().print(AurocTable(table_of(CLASSES[:2])))
    assert "Trouser" in terminal.getvalue()
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width == 60


def test_what_is_quiet_still_warns_on_standard_error(capsys):
    warn(console(quiet=True), "x\x07 has not learned")
    warn(console(quiet=True), "trial #2 t: out of memory", "failed")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == ["warning: x\\x07 has not learned", "failed: trial #2 t: out of memory"]


def test_warnings_and_failures_of_a_result_reach_standard_error_where_it_is_quiet_and_json(tmp_path, capsys):
    paths, state = made_sweep(tmp_path, 6, ["3"], images=50)
    failed = state.trials["t0002"]
    failed.state, failed.error = State.FAILED, "out of memory"
    results = replace(conclude(paths, state), warnings=["level_1 has not learned"])
    assert results_facts(results)["failed"] == {"t0002": "out of memory"}
    run = SimpleNamespace(state=state, phases={}, seconds=1.0, worker_seconds=1.0, tracking="http://server", page="")
    print_result(console(quiet=True), run, results)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == ["warning: level_1 has not learned", "failed: trial #3 t0002: out of memory"]


def test_what_a_prediction_warns_of_and_how_an_interrupted_launch_goes_on_is_said_where_it_is_quiet(capsys):
    threshold = HeldOut(np.arange(99, dtype=np.float32)).threshold(0.1)
    counts, shift = {"normal": 1, "anomalous": 0, "unreadable": 0}, SimpleNamespace(remarks=["scores have moved"])
    predicted = Predicted(Path("x"), threshold, counts, [], Account(1), shift, (0.1, 0.2), 3.0, ["one fit"])
    print_predicted(console(quiet=True), predicted)
    finished = SimpleNamespace(results=None, resume="python -m orchestrator resume run")
    Terminal(console(quiet=True)).ended(finished)
    shown = capsys.readouterr()
    assert shown.out == ""
    warnings, resume = shown.err.splitlines()[:-1], shown.err.splitlines()[-1]
    assert warnings == ["warning: scores have moved", "warning: one fit"]
    assert resume == "interrupted: nothing finished is lost. Resume: python -m orchestrator resume run"


def test_colours_are_left_out_where_the_environment_says_so(monkeypatch):
    monkeypatch.setattr("sys.stdout", terminal := Tty())
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        console().print("text", style="red")
        assert ("\x1b[31m" in terminal.getvalue()) == coloured
        terminal.truncate(0)


class Tty(io.StringIO):
    def isatty(self):
        return True
