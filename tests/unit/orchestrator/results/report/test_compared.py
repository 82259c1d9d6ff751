"""`report A B`: a page of what `compare` prints, with paired tests of runs on the same images."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.console.result_view import pairs_table
from orchestrator.results.comparison import compare
from orchestrator.results.evaluation import read_table, write_table
from orchestrator.results.report.compared import compared_page, correlations, file_name, paired_tests
from orchestrator.results.run import sure_winner
from orchestrator.results.tables import LEAK
from tests.helpers.sweeps import made_sweep
from tests.unit.orchestrator.results.report.test_page import Page

CLASSES = [f"class {number}" for number in range(7)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Three runs on the same images: `run`, `again` with the same scores, and `worse`."""
    folder = tmp_path_factory.mktemp("storage")
    for name, noise in (("again", 0.0), ("worse", 2.0), ("run", 0.0)):
        paths, state = made_sweep(folder, 2, CLASSES)
        file = paths.trial(sure_winner(state).id).scores(1000)
        table = read_table(file)
        column = table.column_names.index("score")
        moved = table["score"].to_numpy() - noise * table["anomalous"].to_numpy() * 0.3
        write_table(file, table.set_column(column, table.schema.field("score"), [moved.astype("float32")]))
        if name != "run":
            (folder / "run").rename(folder / name)
            (folder / "empty").rename(folder / f"empty-{name}")
    return folder


def test_the_same_scores_differ_in_nothing_and_worse_ones_in_all(storage):
    same, worse, _ = compare(str(storage), ["run", "again", "worse"], "all").pairs
    assert (same.mean.value, same.mean.p, same.wilcoxon) == (0, 1, None)
    assert (worse.first, worse.second) == ("run", "worse")
    assert worse.mean.value > 0.05
    assert worse.mean.p < 0.001
    assert worse.wilcoxon == pytest.approx(2 / 2**7)  # all seven the same way
    assert list(worse.classes) == CLASSES


def test_json_and_the_terminal_have_the_paired_tests(storage):
    named = ["report", "run", "worse", "--storage", str(storage)]
    (pair,) = json.loads(CliRunner().invoke(app, [*named, "--json"]).output)["pairs"]
    assert (pair["first"], pair["second"], list(pair["classes"])) == ("run", "worse", CLASSES)
    low, high = pair["mean"]["interval"]
    assert 0 < low < pair["mean"]["difference"] < high
    assert pair["mean"]["p"] < 0.001
    assert pair["wilcoxon"] == pytest.approx(2 / 2**7)
    shown = CliRunner().invoke(app, named).output
    assert "p over classes" in shown
    assert ".016" in shown
    assert "LEAK" not in shown


def test_paired_tests_of_a_run_that_test_labels_picked_are_marked(storage):
    fair = compare(str(storage), ["run", "worse"], "all")
    rows = tuple(replace(row, leak=row.name == "worse") for row in fair.table.rows)
    leaky = replace(fair, table=replace(fair.table, rows=rows))
    assert paired_tests(leaky).count(f"worse (**{LEAK}**)") == 1
    assert LEAK not in paired_tests(fair)
    marks = [compared_page(item, ["run", "worse"], "all").count(LEAK) for item in (fair, leaky)]
    assert marks[0] == 0
    assert marks[1] >= 3, "the table of AUROC, the tests, the classes"
    assert correlations(leaky).count(f"worse/class 3 (**{LEAK}**)") == 2, "a row and a column"
    assert f"run/class 3 (**{LEAK}**)" not in correlations(leaky)
    (line,) = (line for line in piped_table(leaky) if "worse" in line)
    assert "LEAK" in line


def piped_table(comparison):
    out = Console(file=io.StringIO(), width=300)
    out.print(pairs_table(comparison))
    return out.file.getvalue().splitlines()


def test_pages_of_other_runs_have_other_names():
    names = [file_name(runs) for runs in (["b-c"], ["b", "c"], ["b" * 120, "c"], ["b" * 120, "d"])]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 120


def test_the_verb_writes_a_page_that_shows_it(storage):
    done = CliRunner().invoke(app, ["report", "run", "worse", "--storage", str(storage)])
    assert done.exit_code == 0, done.output
    path = storage / "run" / "report" / "compared-worse.html"
    assert "compared-worse.html" in done.output.replace("\n", "")
    page = Page(path.read_text(encoding="utf-8"))
    assert [heading["text"] for heading in page.all("h2")] == [
        "AUROC",
        "Paired tests",
        "run less worse, by class",
        "Rank correlation",
    ]
    cells = [cell["text"] for cell in page.all("td")]
    assert ".016" in cells
    assert "< .001" in cells
