"""report.html: all of report.md on one page that needs nothing else, whatever the names in it are."""

import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from upath import UPath

from orchestrator.results.report.captions import CAPTIONS
from orchestrator.results.report.page import page
from orchestrator.results.tables import LEAK, Row, Table, with_published
from tests.unit.orchestrator.results.report.test_write import ORACLE, REDUCED, report, scores
from tune_spaces import published

VOID = {"meta", "img", "br", "hr"}
HOSTILE = ("<script>alert(1)</script>", "![x](https://example.org/x.png)", "[a](https://example.org)", "<img src=x>")


class Page(HTMLParser):
    """Every element as (tag, attributes, tags and classes it lies in), and the text of each; refuses unclosed ones.
    Those of charts may close themselves."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "inside": [e["attrs"].get("class") for e in self.open], "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        drawn = any(element["tag"] == "svg" for element in self.open)
        assert drawn or tag in VOID
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attrs):
        return [e for e in self.elements if e["tag"] == tag and attrs.items() <= e["attrs"].items()]


def page_of(markdown_path):
    return Page(markdown_path.with_name("report.html").read_text(encoding="utf-8"))


def full_table():
    numbers = published.load("cifar10")
    rows = (
        Row("ours", REDUCED, dict.fromkeys(numbers.columns, 0.7), 0.7),
        Row("simple", "baseline", dict.fromkeys(numbers.columns, 0.6), 0.6),
    )
    return with_published(Table(numbers.columns, rows), numbers)


def hostile_report(directory):
    made = scores(HOSTILE, images=40)
    row = Row("MLSAD", REDUCED, dict.fromkeys(HOSTILE, 0.5), 0.5, note="<b>note</b>")
    facts = {"command": "launch --class '<script>alert(1)</script>'"}
    return report(directory, title="</title><script>", table=Table(HOSTILE, (row,)), scores=made, facts=facts)


@pytest.mark.parametrize("write", [lambda folder: report(folder, scores=scores(images=40)), hostile_report])
def test_nothing_is_fetched_from_anywhere(write, tmp_path):
    made = page_of(write(tmp_path / "report"))
    for element in made.elements:
        assert element["tag"] not in ("link", "iframe", "object", "base", "form")
        assert element["attrs"].get("href", "#").startswith("#")
        assert element["attrs"].get("xlink:href", "#").startswith("#")
        assert all("url(" not in value or "url(#" in value for value in element["attrs"].values() if value)
        assert element["attrs"].get("src", "data:image/png;").startswith("data:image/png;")
        assert not [name for name in element["attrs"] if name.startswith("on")]
    (style,) = made.all("style")
    assert "url(" not in style["text"]
    assert "@import" not in style["text"]


def test_only_the_pages_own_script_may_run(tmp_path):
    made = page_of(hostile_report(tmp_path / "report"))
    (script,) = made.all("script")
    policy = next(meta for meta in made.all("meta") if meta["attrs"].get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy["attrs"]["content"]
    assert b64encode(sha256(script["text"].encode()).digest()).decode() in policy["attrs"]["content"]


def test_names_are_shown_and_not_obeyed(tmp_path):
    made = page_of(hostile_report(tmp_path / "report"))
    assert made.all("title")[0]["text"] == "</title><script>"
    assert any("<script>alert(1)</script>" in fact["text"] for fact in made.all("dd"))
    heads = [cell["text"] for cell in made.all("th")]
    assert "<script>alert(1)</script>" in heads
    assert "[a](https://example.org)" in heads
    assert "x (no such picture)" in heads
    assert "b" not in {element["tag"] for element in made.elements}


def test_every_picture_of_the_markdown_is_inside(tmp_path):
    folder = UPath("memory://page/run")
    picture = folder / "analyses" / "look" / "new photos-grid.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(b"\x89PNG grid")
    found = {"numbers": {}, "pictures": {"grid": "new photos-grid.png", "lost": "new photos-lost.png"}}
    path = report(folder / "report", scores=scores(images=40), findings={"look": {"new photos": found}})
    made = page_of(path)
    inside = [b64decode(image["attrs"]["src"].partition("base64,")[2]) for image in made.all("img")]
    assert inside == [b"\x89PNG grid"]
    assert [chart["attrs"]["aria-label"] for chart in made.all("svg")] == [*CAPTIONS.values()]
    assert len(re.findall(r"^!\[", path.read_text(encoding="utf-8"), re.MULTILINE)) == 4
    assert any("lost (no such picture)" in paragraph["text"] for paragraph in made.all("p"))


def test_kinds_of_number_are_told_apart(tmp_path):
    table = full_table()
    made = page_of(report(tmp_path / "report", table=table))
    for kind in ("measured", "baseline", "published"):
        names = [cell["text"] for cell in made.all("td") if kind in cell["inside"]][:: len(table.classes) + 2]
        assert names == [row.name for row in table.rows if row.kind.startswith(kind)]
        (head,) = [row["text"].strip() for row in made.all("tr", **{"class": "kind"}) if kind in row["inside"]]
        assert head.startswith(kind)
    assert made.all("tr", **{"class": "leak"}) == []


def test_leaks_are_marked(tmp_path):
    table = full_table()
    marked = tuple(replace(row, leak=row.kind == REDUCED) for row in table.rows)
    table = replace(table, rows=marked)
    path = report(tmp_path / "report", table=table, selection=ORACLE, scores=scores(images=40))
    made = page_of(path)
    (row,) = made.all("tr", **{"class": "leak"})
    assert row["text"].strip().startswith("ours")
    assert row["inside"][-1] == "measured"
    marks = made.all("strong", **{"class": "leak"})
    assert len(marks) == path.read_text(encoding="utf-8").count(f"**{LEAK}**")
    assert {mark["text"] for mark in marks} == {LEAK}


def test_the_contents_lead_to_every_section(tmp_path):
    path = report(tmp_path / "report", scores=scores(images=40), costs={"detector/level_1": (2, 3.0, None)})
    made = page_of(path)
    headings = {f"#{heading['attrs']['id']}": heading["text"] for heading in made.all("h2")}
    assert {link["attrs"]["href"]: link["text"] for link in made.all("a")} == headings
    assert list(headings.values()) == re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_facts_are_terms_with_their_values(tmp_path):
    made = page_of(report(tmp_path / "report", facts={"dataset": "made: `digits`", "seed": "0"}))
    assert [term["text"] for term in made.all("dt")] == ["dataset", "seed"]
    assert [value["text"] for value in made.all("dd")] == ["made: digits", "0"]
    assert "contrastive score: .700" in [item["text"] for item in made.all("li")]  # other lists stay lists


def test_a_named_warning_is_no_section_of_a_table():
    made = Page(page("t", "| | a |\n|---|---:|\n| *published* | .5 |\n| x | .6 |\n", {}))
    assert made.all("tr", **{"class": "kind"}) == []
    assert [body["attrs"] for body in made.all("tbody")] == [{}]


def test_the_page_is_there_before_the_markdown_that_vouches_for_it(tmp_path):
    (tmp_path / "report" / "report.html").mkdir(parents=True)
    with pytest.raises(OSError, match=r"report\.html"):
        report(tmp_path / "report", table=replace(full_table(), notes=()))
    assert not (tmp_path / "report" / "report.md").exists()
