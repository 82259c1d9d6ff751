"""What reaches a terminal or a pipe: widths, padding, and characters that would command it."""

import io
from contextlib import redirect_stdout

import pytest

from orchestrator.console.auroc_view import AurocTable
from orchestrator.console.output import console, say, visible, warn
from orchestrator.console.result_view import trials_table
from orchestrator.record.labels import varying
from orchestrator.results.tables import KINDS, LEAK, Row, Table
from tests.helpers.commands import orchestrate
from tests.helpers.sweeps import made_sweep

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
    axes = varying(state)
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
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
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


def test_colours_are_left_out_where_the_environment_says_so(monkeypatch):
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        console().print("text", style="red")
        assert ("\x1b[31m" in terminal.getvalue()) == coloured
        terminal.truncate(0)


class Terminal(io.StringIO):
    def isatty(self):
        return True
