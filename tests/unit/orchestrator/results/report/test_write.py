"""Reports: files that parse back, kinds kept apart, blanks for the undefined, and a leak that says so."""

import csv
import io
import json
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console
from upath import UPath

from orchestrator.console.auroc_view import AurocTable
from orchestrator.results.report import plots
from orchestrator.results.report.captions import CAPTIONS, MOST_PLOTTED
from orchestrator.results.report.plots import png
from orchestrator.results.report.tables import number, to_csv, to_markdown
from orchestrator.results.report.write import Report
from orchestrator.results.tables import LEAK, Finished, Row, Table, with_published
from tune_spaces import published
from workloads.scoring.metrics import Rows, auroc_interval, mean, per_class_auroc, per_part_auroc, rows_by_target
from workloads.scoring.table import SCHEMA, rows

CLASSES = ("airplane", "auto|mobile", "$bird_1$")
REDUCED = "measured (reduced preset)"
FULL = Row("full", REDUCED, {"airplane": 0.9, "auto|mobile": 0.8, "$bird_1$": 0.7}, 0.8, "seed 0")
PART = Row("part", REDUCED, {"airplane": 0.8, "auto|mobile": None, "$bird_1$": 0.95}, 0.875)
BASE = Row("nearest", "baseline", {"airplane": 1.0}, None)
TABLE = Table(CLASSES, (BASE, FULL, PART))


def scores(classes=CLASSES, images=120, scale=1.0):
    rng = np.random.default_rng(0)
    parts = []
    for index, name in enumerate(classes):
        for part in ("level_1", "all"):
            anomalous = rng.integers(0, len(classes) + 1, images) != index
            columns = {
                "image_id": [str(i) for i in range(images)],
                "target": [name] * images,
                "split": ["test"] * images,
                "label": ["any"] * images,
                "anomalous": anomalous,
                "part": [part] * images,
                "score": (rng.normal(size=images) + anomalous) * scale,
            }
            parts.append(pa.table({key: pa.array(value) for key, value in columns.items()}).cast(SCHEMA))
    return pa.concat_tables(parts)


def report(directory, **changes):
    settings = {
        "title": "MLSAD on made images",
        "facts": {"dataset": "made", "preset": "reduced", "seeds": "0", "hardware": "2 cores"},
        "table": TABLE,
        "trials": [
            {"trial": "lost", "params": {"lr": 0.1}, "contrastive": None, "auroc": None, "state": "failed"},
            {"trial": "second", "params": {"lr": 0.01}, "contrastive": 0.6, "auroc": 0.85, "state": "done"},
            {"trial": "first", "params": {"lr": 0.001}, "contrastive": 0.7, "auroc": 0.8, "state": "done"},
        ],
        "levels": {"level_8": {"airplane": 0.52, "auto|mobile": None}, "all": {"airplane": 0.9}},
        "warnings": ["level_8 of airplane has not learned (own AUROC .52)"],
        "part_kind": "level",
        "selection": {
            "select_by": "contrastive",
            "trial": "first",
            "params": {"lr": 0.001},
            "contrastive": 0.7,
            "auroc": 0.8,
        },
    }
    settings |= changes
    made = shown(**{name: settings.pop(name) for name in SHOWN if name in settings})
    return Report(**settings, shown=made).write(directory)


SHOWN = ("table", "levels", "scores", "out")


def shown(table, levels=None, scores=None, out=None):
    """What a report shows of tables and per-image scores."""
    whole = {} if scores is None else rows_by_target(scores)
    parts = [] if scores is None else [part for part in per_part_auroc(scores) if "/" in part]
    return Finished(
        table,
        out,
        means={},
        levels=levels or {},
        intervals={name: (rows.auroc(), rows.interval()) for name, rows in whole.items()},
        contests=whole,
        groups={part: rows_by_target(scores, part) for part in parts},
    )


ORACLE = {"select_by": "oracle", "trial": "second", "params": {"lr": 0.01}, "contrastive": 0.6, "auroc": 0.85}


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_keeps_kinds_apart_and_marks_the_best_measured():
    lines = [cells(line) for line in to_markdown(TABLE).splitlines() if line.startswith("|")]
    assert lines[0] == ["", "airplane", r"auto\|mobile", "$bird_1$", "mean"]
    assert {len(line) for line in lines} == {5}
    assert [line[0] for line in lines[2:]] == [f"*{REDUCED}*", "full", "part", "*baseline*", "nearest"]
    assert lines[3] == ["full", "**.900**", ".800", ".700", ".800"]  # no rival: the other lacks a class
    assert lines[4] == ["part", ".800", "–", "**.950**", ".875"]
    assert lines[6] == ["nearest", "1.000", "–", "–", "–"]
    assert f"- part ({REDUCED}): mean over 2 of 3 classes" in to_markdown(TABLE)


def test_a_note_that_all_rows_of_a_kind_share_is_the_kinds():
    assert f"- full ({REDUCED}): seed 0" in to_markdown(TABLE)
    shared = Table(CLASSES, (BASE, FULL, replace(PART, note=FULL.note)))
    assert f"- {REDUCED}: seed 0" in to_markdown(shared)


def test_out_sets_are_not_called_classes(tmp_path):
    pooled = Table(("svhn",), (Row("all", REDUCED, {"svhn": 0.9}, 0.9),), unit="out sets")
    text = report(tmp_path, table=pooled, levels={}, scores=scores(("svhn",), images=40)).read_text(encoding="utf-8")
    assert "| out set | normal | anomalous |" in text
    assert "## AUROC against out sets" in text


def test_a_leak_is_labelled_and_never_the_best():
    other = replace(FULL, name="honest", mean=0.7, values=dict.fromkeys(CLASSES, 0.7))
    table = Table(CLASSES, (replace(FULL, leak=True), other, replace(other, name="worse", mean=0.6)))
    leaking, honest, _ = [cells(line) for line in to_markdown(table).splitlines()[3:6]]
    assert leaking == [f"full (**{LEAK}**)", ".900", ".800", ".700", ".800"]
    assert honest[-1] == "**.700**"
    assert next(csv.DictReader(io.StringIO(to_csv(table))))["leak"] == "true"


def test_csv_parses_back():
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert [row["name"] for row in rows] == ["full", "part", "nearest"]
    assert list(rows[0])[-1] == "mean"
    assert rows[1]["auto|mobile"] == rows[2]["mean"] == ""
    assert float(rows[0]["airplane"]) == 0.9


@pytest.mark.parametrize("width", [80, 120])
def test_rich_shows_every_mean_in_a_usual_terminal(width):
    table = published.load("cifar10")
    stream = io.StringIO()
    measured = Row("MLSAD, no position pair", REDUCED, dict.fromkeys(table.columns, 0.5), 0.123)
    Console(file=stream, width=width).print(AurocTable(with_published(Table(table.columns, (measured,)), table)))
    assert ".123" in stream.getvalue()
    assert all(f"{row.mean:.3f}"[1:] in stream.getvalue() for row in table.rows)


def test_notes_take_the_terminals_width_and_not_the_tables():
    note = "made of two photographs, which are no distribution of images in general"
    stream = io.StringIO()
    Console(file=stream, width=100).print(AurocTable(Table(("svhn",), (), (note,), unit="out sets")))
    assert note in stream.getvalue().splitlines()


def test_published_rows_stand_beside_the_measured():
    table = with_published(Table(("cat", "dog"), ()), published.load("cifar10"))
    mlsad = next(row for row in table.rows if row.name == "MLSAD")
    assert (mlsad.kind, mlsad.values) == ("published", {"cat": 0.725, "dog": 0.812})
    assert mlsad.mean == pytest.approx(0.7685)  # of the shown classes: the printed one is over ten
    assert "is ours" in mlsad.note
    whole = with_published(Table(published.load("cifar10").columns, ()), published.load("cifar10"))
    assert next(row for row in whole.rows if row.name == "KDE").mean == 0.6097  # as printed
    named = with_published(Table(("church", "tench"), ()), published.load("imagenet10"))
    assert named.rows[-1].values == {"tench": 0.879, "church": 0.841}
    assert "guess" in named.notes[-1]
    with pytest.raises(ValueError, match="none of the classes"):
        with_published(Table(("x",), ()), published.load("cifar10"))


def test_wrong_rows_are_refused():
    with pytest.raises(ValueError, match="kind 'measured' is none of"):
        replace(FULL, kind="measured")
    with pytest.raises(ValueError, match="outside"):
        replace(FULL, mean=float("nan"))
    with pytest.raises(ValueError, match="unknown classes airplane"):
        Table(("a",), (BASE,))


def test_report_has_its_files_and_facts(tmp_path):
    path = report(tmp_path / "new" / "report")
    assert path == tmp_path / "new" / "report" / "report.md"
    assert {file.name for file in path.parent.iterdir()} == {"report.md", "report.html", "table.csv", "report.json"}
    text = path.read_text(encoding="utf-8")
    for fact in (
        "# MLSAD on made images",
        "- **hardware**: 2 cores",
        "- level_8 of airplane has not learned",
        "`first`",
    ):
        assert fact in text
    assert "| level_8 | .520 | – | – | .520 |" in text
    assert re.findall(r"^\| (first|second|lost) ", text, re.MULTILINE) == ["first", "second", "lost"]
    assert ".png" not in text
    assert "oracle would pick" not in text, "it has no sweep"
    back = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert back["selection"]["leak"] is False
    assert back["levels"]["level_8"]["auto|mobile"] is None


def test_oracle_selection_is_called_a_leak_beside_every_number_it_gave(tmp_path):
    marked = tuple(replace(row, leak=row.kind == REDUCED) for row in TABLE.rows)
    path = report(tmp_path, table=replace(TABLE, rows=marked), selection=ORACLE, scores=scores(images=40))
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^\| (first|second|lost) ", text, re.MULTILINE) == ["second", "first", "lost"]
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for name in ("AUROC per class", "Best configuration", "AUROC per level", "Test images and intervals", "All trials"):
        assert f"**{LEAK}**" in sections[name], name
    assert sections["Plots"].count(f"**{LEAK}**") == 2
    for line in text.splitlines():
        if re.match(r"\*\*(full|part)\*\*:|\| (full|part) |- mean test AUROC", line):
            assert f"**{LEAK}**" in line
    back = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert back["selection"]["leak"] is True
    assert [row["leak"] for row in back["table"]["rows"]] == [False, True, True]  # the baseline was not selected


def test_report_goes_to_any_file_system_with_its_plots():
    directory = UPath("memory://reports/one")
    path = report(directory, scores=scores(images=40))
    text = path.read_text(encoding="utf-8")
    for name in ("roc.png", "scores.png"):
        assert (directory / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert f"]({name})" in text
    assert "95 % interval" in text


def test_odd_values_do_not_break_the_report(tmp_path):
    trials = [{"trial": "t", "params": {"lr": np.float32(0.5), "sizes": (1, 2)}, "contrastive": 0.5, "loss": np.nan}]
    path = report(tmp_path, trials=trials, levels={}, warnings=[], scores=SCHEMA.empty_table())
    trial = json.loads((path.parent / "report.json").read_text())["trials"][0]
    assert trial["params"] == {"lr": 0.5, "sizes": [1, 2]}
    assert trial["loss"] == "nan"
    assert "## Warnings" not in path.read_text()
    with pytest.raises(ValueError, match="select_by is 'best'"):
        report(tmp_path, selection=ORACLE | {"select_by": "best"})


@pytest.mark.parametrize("draw", [plots.roc_plot, plots.histogram_plot])
def test_plots_are_legible_pngs(draw):
    table = scores(tuple(f"class {i}" for i in range(10)), images=60, scale=1e4)
    endless = pa.array(np.where(np.arange(table.num_rows) % 50 == 0, np.inf, table["score"].to_numpy()), pa.float32())
    table = table.set_column(table.column_names.index("score"), SCHEMA.field("score"), endless)
    data = png(draw(rows_by_target(table), "a line above"), dpi=130, bbox_inches="tight")
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert 600 < width < 2500
    assert 500 < height < 1500
    assert len(data) > 10_000


@pytest.mark.parametrize("draw", [plots.roc_plot, plots.histogram_plot])
def test_plots_of_undefined_and_constant_scores(draw):
    one = scores(("only",), images=20, scale=0.0)
    assert draw(rows_by_target(one.filter(one["anomalous"])))
    with pytest.raises(ValueError, match="no test rows"):
        draw({})


@pytest.mark.parametrize("defined", [0, 5, 30])
def test_of_many_columns_the_ends_are_plotted_and_undefined_ones_only_where_there_is_room(defined):
    columns = {
        f"class {n}": Rows(np.array([0.0, n % 7, 9.0]), np.array([False, n >= 30 - defined, False])) for n in range(30)
    }
    shown = plots.few(columns)
    known = [name for name, rows in columns.items() if rows.auroc() is not None]
    assert len(shown) == MOST_PLOTTED
    assert len(known) == defined
    assert len(set(known) & set(shown)) == min(defined, MOST_PLOTTED)
    assert plots.drawn(columns, "", "normal class").keys() == CAPTIONS.keys()


def test_a_report_from_scores_shows_the_metrics_numbers(tmp_path):
    table = scores()
    values = per_class_auroc(table)
    row = Row("MLSAD", "measured (smoke preset)", values, mean(values.values()))
    path = report(tmp_path, table=Table(CLASSES, (row,)), levels=per_part_auroc(table), scores=table)
    shown = next(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert {name: float(shown[name]) for name in CLASSES} == values
    assert f"mean AUROC {row.mean:.3f}".replace("0.", ".") in path.read_text()


def test_the_report_needs_neither_ray_nor_mlflow():
    code = (
        "import sys; sys.modules.update(ray=None, mlflow=None)\n"
        "import orchestrator.results.report.write, orchestrator.results.report.plots\n"
        "assert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[5]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)


def test_analyses_are_shown_with_their_numbers_and_pictures(tmp_path):
    found = {"numbers": {"reached": 0.5, "nats": 2.25, "undefined": None}, "pictures": {"grid": "airplane-grid.png"}}
    text = report(tmp_path, findings={"look": {"airplane": found}}, about={"look": "A closer look."}).read_text()
    assert "## Analysis: look" in text
    assert "A closer look." in text
    rows = [cells(line) for line in text.split("## Analysis")[1].splitlines() if line.startswith("|")]
    assert rows[0] == ["", "airplane"]
    assert rows[2:5] == [["reached", ".500"], ["nats", "2.25"], ["undefined", "–"]]
    assert "(../analyses/look/airplane-grid.png)" in text
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["analyses"]["look"]["airplane"]["numbers"] == found["numbers"]


def test_a_networks_cost_stands_beside_the_plans(tmp_path):
    text = report(
        tmp_path, costs={"generator/level_2": (6, 12.0, 10.0), "detector/level_1": (2, 3.0, None)}
    ).read_text()
    rows = [cells(line) for line in text.split("## Cost of a network")[1].splitlines() if line.startswith("|")]
    assert rows[2:4] == [["generator/level_2", "6", "12", "10", "1.20"], ["detector/level_1", "2", "3", "–", "–"]]


def test_every_trial_that_ended_is_shown_class_by_class(tmp_path):
    trials = [
        {"trial": str(i), "params": {"lambda_position": value}, "contrastive": 0.9, "auroc": 0.8, "classes": classes}
        for i, (value, classes) in enumerate([(0.4, {"airplane": 0.75}), (0.0, {"airplane": 0.5}), (1.0, {})])
    ]
    text = report(tmp_path, trials=trials).read_text()
    shown = text.split("## AUROC per class of every trial")[1]
    rows = [cells(line) for line in shown.splitlines() if line.startswith("|")]
    column = rows[0].index("airplane")
    assert [(row[0], row[column]) for row in rows[2:4]] == [
        ("lambda_position=0.4", ".750"),
        ("lambda_position=0.0", ".500"),
    ]
    assert "lambda_position=1.0" not in shown.split("## ")[0]  # stopped before the end
    assert "LEAK" in shown
    assert "of every trial" not in report(tmp_path, trials=trials[1:]).read_text()


def test_every_trial_that_ended_shows_its_levels_alone(tmp_path):
    trials = [
        {"trial": str(i), "params": {"noise": i}, "contrastive": 0.9, "auroc": 0.8, "classes": {"airplane": 0.8}}
        | ({"levels": {"1": 0.5 + i / 10, "8": 0.75}} if i < 2 else {})
        for i in range(3)
    ]
    shown = report(tmp_path, trials=trials).read_text().split("## AUROC per class of every trial")[1].split("## ")[0]
    rows = [cells(line) for line in shown.splitlines() if line.startswith("|")]
    at = next(i for i, row in enumerate(rows) if row[1:] == ["1", "8"])
    assert rows[at + 2 : at + 5] == [["noise=0", ".500", ".750"], ["noise=1", ".600", ".750"], ["noise=2", "–", "–"]]


def test_groups_are_counted_and_their_auroc_has_an_interval(tmp_path):
    rng = np.random.default_rng(0)
    blocks = []
    for size, groups in ((1, 200), (5, 40)):
        values, anomalous = rng.normal(size=groups), np.arange(groups) % 4 == 0
        for part in ("klods_prior", "god_2ks"):
            ids = [f"group-{size}/{number:05d}" for number in range(groups)]
            labels = np.where(anomalous, "svhn", "cifar10").tolist()
            blocks.append(rows("cifar10", "test", f"{part}/{size}", ids, labels, anomalous, values + anomalous))
    table = pa.concat_tables(blocks).unify_dictionaries()
    text = report(tmp_path / "own", scores=table).read_text()
    alone = table.filter(pc.equal(table["part"], "god_2ks/5"))
    low, high = auroc_interval(alone["score"].to_numpy(), alone["anomalous"].to_numpy())
    assert f"[{number(low)}, {number(high)}]" in next(line for line in text.splitlines() if "god_2ks/5" in line)
    assert "groups of 5, normal and anomalous: cifar10 30 and 10" in text
    leaky = report(tmp_path / "oracle", scores=table, selection=ORACLE).read_text()
    assert f"## Groups and intervals\n\n**{LEAK}**" in leaky
    assert "Groups and intervals" not in report(tmp_path / "images", scores=scores()).read_text()
