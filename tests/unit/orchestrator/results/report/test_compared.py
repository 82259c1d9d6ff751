"""`report A B`: a page of what `compare` prints, with paired tests of runs on the same images."""

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.results.comparison import compare
from orchestrator.results.evaluation import read_table, write_table
from orchestrator.results.run import sure_winner
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
