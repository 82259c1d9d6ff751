"""A sweep's page: its charts are there, in words too, and large ones are made in time and stay small."""

import re
import time
from xml.etree import ElementTree

import pytest

from orchestrator.results.report.captions import CAPTIONS, CHARTS, MOST_PLOTTED
from orchestrator.results.report.plots import drawn_sweep
from orchestrator.results.run import conclude, sure_winner, sweep_of
from tests.helpers.sweeps import made_sweep
from tests.unit.orchestrator.results.report.test_page import page_of

CLASSES = [f"class {number}" for number in range(400)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(report.md, its page, the sweep) of 24 trials of two classes."""
    paths, state = made_sweep(tmp_path_factory.mktemp("storage"), 24, CLASSES[:2])
    conclude(paths, state)
    report = paths.report / "report.md"
    return report.read_text(encoding="utf-8"), page_of(report), sweep_of(state, sure_winner(state).id)


def test_every_chart_is_on_the_page_with_what_it_shows(small):
    _, page, _ = small
    shown = [chart["attrs"]["aria-label"] for chart in page.all("svg")]
    words = {"criterion": "contrastive score", "rung": 50}
    assert shown == [*(text.format(**words) for text in CHARTS.values()), *CAPTIONS.values()]
    assert all(chart["attrs"]["role"] == "img" for chart in page.all("svg"))


def test_ids_of_charts_stay_apart_and_are_there(small):
    _, page, _ = small
    ids = [element["attrs"]["id"] for element in page.elements if "id" in element["attrs"]]
    assert len(ids) == len(set(ids))
    asked = [e["attrs"]["xlink:href"][1:] for e in page.elements if "xlink:href" in e["attrs"]]
    asked += [
        re.findall(r"url\(#(.*?)\)", v)[0] for e in page.elements for v in e["attrs"].values() if v and "url(" in v
    ]
    assert asked
    assert set(asked) <= set(ids)


def test_charts_take_the_pages_colours(small):
    _, page, _ = small
    styles = " ".join(e["attrs"].get("style") or "" for e in page.elements if e["tag"] != "svg")
    assert "var(--ink)" in styles
    assert "#ffffff" not in styles
    assert "#1c2128" not in styles


def test_a_charts_file_stands_by_itself_and_is_the_same_again(small):
    _, _, sweep = small
    files = drawn_sweep(sweep, CHARTS)
    assert files == drawn_sweep(sweep, CHARTS)
    for picture, _ in files.values():
        assert ElementTree.fromstring(picture).tag.endswith("svg")
        assert b"var(--" not in picture


def test_the_winner_stands_beside_what_an_oracle_picks_and_seeds_beside_each_other(small):
    text, _, sweep = small
    best = text.split("## Best configuration")[1].split("## ")[0]
    rows = [line for line in best.splitlines() if line.startswith("| ")]
    assert f"`{sweep.best}`" in rows[1]
    oracle = sweep.picked["an oracle"].id
    assert f"an oracle would pick `{oracle}` at " in best
    assert f"`{oracle}`" in rows[2]
    assert "LEAK" in rows[2]
    assert re.search(r"\| \.\d{3} \[\.\d{3}, \.\d{3}\] \|", rows[1])  # the mean with its interval
    seeds = text.split("## Seeds")[1].split("## ")[0]
    assert "| seeds | mean AUROC | spread | behind the winner |" in seeds
    assert "seed=" not in seeds
    assert "for any importance of a key to be told" in text  # 24 trials do not tell it


def test_a_single_trial_has_no_sweep(tmp_path):
    paths, state = made_sweep(tmp_path, 1, CLASSES[:2])
    conclude(paths, state)
    assert "What the keys do" not in (paths.report / "report.md").read_text(encoding="utf-8")
    assert {file.suffix for file in paths.report.iterdir()} == {".html", ".md", ".json", ".csv", ".png"}


@pytest.mark.parametrize(("trials", "classes"), [(864, 10), (4, 400)])
def test_a_large_report_is_made_in_time_and_stays_small(trials, classes, tmp_path):
    paths, state = made_sweep(tmp_path, trials, CLASSES[:classes])
    begun = time.process_time()  # of this process: other work on the machine does not count
    conclude(paths, state)
    assert time.process_time() - begun < 10
    assert (paths.report / "report.html").stat().st_size < 10e6
    page = page_of(paths.report / "report.md")
    heads = max(sum(cell["tag"] == "th" for cell in table) for table in tables_of(page))
    assert heads <= 41  # wider ones are turned
    if classes > MOST_PLOTTED:
        assert any(
            f"{MOST_PLOTTED // 2} of {classes} with the lowest AUROC" in c["attrs"]["aria-label"]
            for c in page.all("svg")
        )


def tables_of(page):
    """The cells of each table."""
    tables = []
    for element in page.elements:
        if element["tag"] == "table":
            tables.append([])
        elif element["tag"] in ("th", "td"):
            tables[-1].append(element)
    return tables
