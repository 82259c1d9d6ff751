"""Writes a report to a folder, local or remote: report.html, report.md, report.json, a CSV a table, and the plots."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from io import BytesIO
from types import MappingProxyType
from typing import Any, Protocol, Self, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.results.report import sections
from orchestrator.results.report.findings import Findings, analyses
from orchestrator.results.report.groups import group_intervals
from orchestrator.results.report.page import page
from orchestrator.results.report.tables import LEAK, Table, to_csv
from workloads.scoring.table import WHOLE

PAGE = "report.html"
NOTHING: Mapping[str, Any] = MappingProxyType({})


def write_report(
    directory: FolderT,
    *,
    title: str,
    facts: Mapping[str, str],
    table: Table,
    trials: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Mapping[str, float | None]],
    warnings: Sequence[str],
    scores: pa.Table | None,
    selection: Mapping[str, Any],
    costs: Mapping[str, tuple[int, float, float | None]] = NOTHING,
    findings: Findings = NOTHING,
    about: Mapping[str, str] = NOTHING,
    out: Table | None = None,
) -> FolderT:
    """Writes the files, report.md last, so that its presence means a whole report. Returns its path.

    report.html says the same, on one page that holds its pictures and needs no other file.

    directory: a `pathlib.Path` or a `upath.UPath`; made if missing, older reports in it are replaced.
    facts: what heads the report: dataset, preset, seeds, hardware.
    table: the methods per class; under oracle selection its measured rows are marked as a leak.
    trials: each with "trial" (its id), "params", "contrastive" and "auroc" (mean test AUROC), both in [0, 1] or None;
        "classes", class -> test AUROC, of those that reached the end; "levels", part -> mean test AUROC of it alone.
        Further keys become columns.
    levels: as `workloads.scoring.metrics.per_part_auroc` gives them.
    scores: per-image scores of the selected configuration (`workloads.scoring.table.SCHEMA`); None: no plots.
    selection: "select_by" (a criterion or "given"), "trial", "params", criteria and "auroc" as in trials.
    costs: kind of network -> number, mean seconds, planned seconds.
    findings: of the analyses; their pictures lie in ../analyses. about: analysis -> what it shows, in a line.
    out: the table of `orchestrator.results.report.out`, also written as out_of_distribution.csv; marked as `table` is.
    Raises ValueError for an unknown select_by or scores that are NaN, KeyError for a missing key.
    """
    by = selection["select_by"]
    if by not in sections.SAID:
        raise ValueError(f"select_by is {by!r}, not one of {', '.join(sections.SAID)}")
    leak = by == sections.ORACLE
    if leak:
        table, out = _mark_measured(table), out and _mark_measured(out)
    unit = sections.UNITS[table.unit]
    images = _images(scores, f"{LEAK}: configuration chosen by test AUROC" if leak else "", unit)
    parts = [
        sections.headline(title, facts, table),
        sections.warning_list(warnings),
        sections.per_class(table),
        sections.selected(selection, trials),
        sections.per_level(levels, table.classes, leak),
        sections.out_of_distribution(out),
        sections.intervals(scores, leak, unit),
        group_intervals(scores, leak),
        sections.pictures({name: caption for name, (caption, _) in images.items()}, leak),
        analyses(findings, about),
        sections.all_trials(trials, by),
        sections.every_trial(trials, table.classes),
        sections.costs(costs),
        sections.FOOTER,
    ]
    record = {
        "title": title,
        "facts": facts,
        "table": asdict(table),
        "selection": {**selection, "leak": leak},
        "trials": sections.ranked(trials, by),
        "levels": levels,
        "analyses": findings,
        "costs": costs,
        "warnings": warnings,
    }
    if out is not None:
        record["out_of_distribution"] = asdict(out)
    directory.mkdir(parents=True, exist_ok=True)
    for name, (_, png) in images.items():
        (directory / name).write_bytes(png)
    (directory / "table.csv").write_text(to_csv(table), encoding="utf-8")
    if out is not None:
        (directory / "out_of_distribution.csv").write_text(to_csv(out), encoding="utf-8")
    text = json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False)
    (directory / "report.json").write_text(text + "\n", encoding="utf-8")
    markdown = "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
    pictures = {name: png for name, (_, png) in images.items()} | _pictures(directory.parent / "analyses", findings)
    (directory / PAGE).write_text(page(title, markdown, pictures), encoding="utf-8")
    report = directory / "report.md"
    report.write_text(markdown, encoding="utf-8")
    return report


def _mark_measured(table: Table) -> Table:
    rows = (replace(row, leak=True) if row.kind.startswith("measured") else row for row in table.rows)
    return replace(table, rows=tuple(rows))


def _images(scores: pa.Table | None, title: str, unit: str) -> dict[str, tuple[str, bytes]]:
    """File name -> caption and PNG; empty without test rows of the whole detector."""
    if (
        scores is None
        or not pc.any(pc.and_(pc.equal(scores["split"], "test"), pc.equal(scores["part"], WHOLE))).as_py()
    ):
        return {}
    from orchestrator.results.report.plots import (  # matplotlib takes a second; many reports need none
        histogram_plot,
        roc_plot,
    )

    drawn = {}
    for name, caption, draw in (
        ("roc.png", "ROC curves of the whole detector", partial(roc_plot, unit=unit)),
        ("scores.png", "Scores of normal and anomalous test images", histogram_plot),
    ):
        stream = BytesIO()
        draw(scores, stream, title)
        drawn[name] = caption, stream.getvalue()
    return drawn


def _pictures(folder: Folder, findings: Findings) -> dict[str, bytes]:
    """Address in report.md -> PNG of the analyses. One that was deleted is left out: a report needs no picture."""
    found = {}
    for name, targets in findings.items():
        for file in (file for finding in targets.values() for file in finding["pictures"].values()):
            path = folder / name / file
            if path.exists():
                found[f"../analyses/{name}/{file}"] = path.read_bytes()
    return found


def _plain(value: Any) -> Any:
    """The same in JSON's own types. It has no nan or inf: those become text, so a diverged loss stays readable."""
    if hasattr(value, "item"):  # numpy's scalars
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return str(value)


class Folder(Protocol):
    """What `pathlib.Path` and `upath.UPath` share, as far as a report needs it."""

    @property
    def parent(self) -> Self: ...
    def __truediv__(self, name: str, /) -> Self: ...
    def exists(self) -> bool: ...
    def read_bytes(self) -> bytes: ...
    def mkdir(self, *, parents: bool, exist_ok: bool) -> None: ...
    def write_text(self, data: str, encoding: str) -> Any: ...
    def write_bytes(self, data: bytes) -> Any: ...


FolderT = TypeVar("FolderT", bound=Folder)
