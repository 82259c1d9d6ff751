"""Writes a report to a folder, local or remote: report.html, report.md, report.json, a CSV a table, and the plots."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from upath import UPath

from orchestrator.results.report import sections
from orchestrator.results.report.page import page
from orchestrator.results.report.tables import LEAK, Table, to_csv
from orchestrator.results.report.templates import TEMPLATES
from workloads.files import read_checked
from workloads.scoring.metrics import rows_by_target
from workloads.scoring.selection import Select

PAGE = "report.html"


@dataclass(frozen=True)
class Report:
    """What a report shows.

    facts: what heads it: dataset, preset, seeds, hardware.
    table: the methods per class; under oracle selection its measured rows are marked as a leak.
    trials: each with "trial" (its id), "params", "contrastive" and "auroc" (mean test AUROC), both in [0, 1] or None;
        "classes", class -> test AUROC, of those that reached the end; "levels", part -> mean test AUROC of it alone.
        Further keys become columns.
    levels: as `workloads.scoring.metrics.per_part_auroc` gives them. part_kind: what the method calls a part.
    scores: per-image scores of the selected configuration (`workloads.scoring.table.SCHEMA`); None: no plots.
    selection: "select_by" (a criterion or "given"), "trial", "params", criteria and "auroc" as in trials.
    costs: kind of network -> number, mean seconds, planned seconds.
    findings: of the analyses; their pictures lie in ../analyses. about: analysis -> what it shows, in a line.
    out: the table of `orchestrator.results.report.out`, also written as out_of_distribution.csv; marked as `table` is.
    Raises ValueError for an unknown select_by.
    """

    title: str
    facts: Mapping[str, str]
    table: Table
    trials: Sequence[Mapping[str, Any]]
    levels: Mapping[str, Mapping[str, float | None]]
    warnings: Sequence[str]
    scores: pa.Table | None
    selection: Mapping[str, Any]
    part_kind: str = "score"
    costs: Mapping[str, tuple[int, float, float | None]] = field(default_factory=dict)
    findings: sections.Findings = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    out: Table | None = None

    def __post_init__(self) -> None:
        if self.by not in sections.SELECTED_BY:
            raise ValueError(f"select_by is {self.by!r}, not one of {', '.join(sections.SELECTED_BY)}")

    @property
    def by(self) -> str:
        return str(self.selection["select_by"])

    @property
    def criterion(self) -> Select:
        """By what trials are ordered."""
        return "contrastive" if self.by == "given" else cast(Select, self.by)

    @property
    def leak(self) -> bool:
        """Whether the configuration was picked by test AUROC."""
        return self.by == sections.ORACLE

    @property
    def unit(self) -> str:
        """What a column of the main table is."""
        return sections.UNITS[self.table.unit]

    def markdown(self, captions: Mapping[str, str]) -> str:
        """The whole as Markdown. captions: of the plots, by file name."""
        text = TEMPLATES.get_template("report.md.jinja").render(
            vars(self),
            leak=self.leak,
            unit=self.unit,
            captions=captions,
            criterion=self.criterion,
            ended=[trial for trial in self.trials if trial.get("classes")],
            headlines=sections.headlines(self.table),
            reason=sections.SELECTED_BY[self.by],
            rival=sections.rival(self.trials, self.by),
        )
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"

    def record(self) -> dict[str, Any]:
        """The whole as values for report.json."""
        record = {
            "title": self.title,
            "facts": self.facts,
            "table": asdict(self.table),
            "selection": {**self.selection, "leak": self.leak},
            "trials": sections.ranked(self.trials, self.criterion),
            "levels": self.levels,
            "analyses": self.findings,
            "costs": self.costs,
            "warnings": self.warnings,
        }
        return record if self.out is None else record | {"out_of_distribution": asdict(self.out)}

    def write(self, directory: Path | UPath) -> Path | UPath:
        """Write the files, report.md last, so that its presence means a whole report. Returns its path.

        report.html says the same, on one page that holds its pictures and needs no other file. The directory is made if
        missing, older reports in it are replaced. Raises ValueError for NaN scores, KeyError for a missing key.
        """
        marked = replace(self, table=_marked(self.table), out=self.out and _marked(self.out)) if self.leak else self
        plots = marked._plots()
        markdown = marked.markdown({name: caption for name, (caption, _) in plots.items()})
        text = json.dumps(_plain(marked.record()), indent=2, ensure_ascii=False, allow_nan=False)
        pictures = {name: png for name, (_, png) in plots.items()}
        tables = {"table.csv": marked.table, "out_of_distribution.csv": marked.out}
        directory.mkdir(parents=True, exist_ok=True)
        for name, png in pictures.items():
            (directory / name).write_bytes(png)
        for name, table in tables.items():
            if table is not None:
                (directory / name).write_text(to_csv(table), encoding="utf-8")
        (directory / "report.json").write_text(text + "\n", encoding="utf-8")
        pictures |= _pictures(directory.parent / "analyses", self.findings)
        (directory / PAGE).write_text(page(self.title, markdown, pictures), encoding="utf-8")
        report = directory / "report.md"
        report.write_text(markdown, encoding="utf-8")
        return report

    def _plots(self) -> dict[str, tuple[str, bytes]]:
        """File name -> caption and PNG; empty without test rows of the whole detector."""
        if self.scores is None or not any(len(rows.scores) for rows in rows_by_target(self.scores).values()):
            return {}
        from orchestrator.results.report.plots import histogram_plot, roc_plot  # matplotlib takes a second

        title = f"{LEAK}: configuration chosen by test AUROC" if self.leak else ""
        return {
            "roc.png": ("ROC curves of the whole detector", roc_plot(self.scores, title, self.unit)),
            "scores.png": ("Scores of normal and anomalous test images", histogram_plot(self.scores, title)),
        }


def _marked(table: Table) -> Table:
    """The table with its measured rows marked as leaks."""
    return replace(
        table, rows=tuple(replace(row, leak=row.leak or row.kind.startswith("measured")) for row in table.rows)
    )


REMADE = "resume the run: that makes the analysis again"


def _pictures(folder: Path | UPath, findings: sections.Findings) -> dict[str, bytes]:
    """Address in report.md -> PNG of the analyses. One that was deleted is left out: a report needs no picture."""
    files = [
        (name, file)
        for name, targets in findings.items()
        for finding in targets.values()
        for file in finding["pictures"].values()
    ]
    present = [(name, file) for name, file in files if (folder / name / file).exists()]
    return {f"../analyses/{name}/{file}": read_checked(folder / name / file, REMADE) for name, file in present}


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
