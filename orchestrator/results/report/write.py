"""Writes a report to a folder, local or remote: report.html, report.md, report.json, a CSV a table, and the plots."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from upath import UPath

from orchestrator.results.report import tables
from orchestrator.results.report.page import page
from orchestrator.results.report.templates import TEMPLATES
from orchestrator.results.tables import LEAK, Interval, Table
from workloads.files import read_checked
from workloads.scoring.metrics import Rows
from workloads.scoring.selection import Select

PAGE = "report.html"
REMADE = "resume the run: that makes the analysis again"


@dataclass(frozen=True)
class Report:
    """What a report shows: finished facts, none of them computed here.

    facts: what heads it: dataset, preset, seeds, hardware.
    table: the methods per class; out: the winner's parts by class and out set, with the means by set, `out_means`.
    trials: each with "trial" (its id), "params", "contrastive" and "auroc" (mean test AUROC), both in [0, 1] or None;
        "classes", class -> test AUROC, of those that reached the end; "levels", part -> mean test AUROC of it alone.
        Further keys become columns.
    levels: part -> class -> AUROC. part_kind: what the method calls a part.
    contests: column of the table -> the scores that its AUROC is over, for sizes and plots; groups: the same of every
        part that scores groups. intervals: AUROC and interval by column, and of the "mean".
    selection: "select_by" (a criterion or "given"), "trial", "params", criteria and "auroc" as in trials.
    costs: kind of network -> number, mean seconds, planned seconds.
    findings: of the analyses; their pictures lie in ../analyses. about: analysis -> what it shows, in a line.
    unlike_paper: why the winner's training is not its paper's, a line a cause. our_choices: what the paper leaves open.
    Raises ValueError for an unknown select_by.
    """

    title: str
    facts: Mapping[str, str]
    table: Table
    trials: Sequence[Mapping[str, Any]]
    levels: Mapping[str, Mapping[str, float | None]]
    warnings: Sequence[str]
    selection: Mapping[str, Any]
    contests: Mapping[str, Rows] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Rows]] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float | None, Interval | None]] = field(default_factory=dict)
    part_kind: str = "score"
    costs: Mapping[str, tuple[int, float, float | None]] = field(default_factory=dict)
    findings: tables.Findings = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    out: Table | None = None
    out_means: Mapping[str, tuple[float | None, Interval | None]] = field(default_factory=dict)
    unlike_paper: Sequence[str] = ()
    our_choices: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.by not in tables.SELECTED_BY:
            raise ValueError(f"select_by is {self.by!r}, not one of {', '.join(tables.SELECTED_BY)}")

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
        return self.by == tables.ORACLE

    @property
    def unit(self) -> str:
        """What a column of the main table is."""
        return tables.UNITS[self.table.unit]

    def markdown(self, captions: Mapping[str, str]) -> str:
        """The whole as Markdown. captions: of the plots, by file name."""
        text = TEMPLATES.get_template("report.md.jinja").render(
            vars(self),
            leak=self.leak,
            unit=self.unit,
            captions=captions,
            criterion=self.criterion,
            ended=[trial for trial in self.trials if trial.get("classes")],
            headlines=tables.headlines(self.table),
            reason=tables.SELECTED_BY[self.by],
            rival=tables.rival(self.trials, self.by),
        )
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"

    def record(self) -> dict[str, Any]:
        """The whole as values for report.json."""
        record = {
            "title": self.title,
            "facts": self.facts,
            "table": asdict(self.table),
            "selection": {**self.selection, "leak": self.leak},
            "trials": tables.ranked(self.trials, self.criterion),
            "levels": self.levels,
            "analyses": self.findings,
            "costs": self.costs,
            "intervals": {name: interval for name, (_, interval) in self.intervals.items()},
            "unlike_paper": self.unlike_paper,
            "our_choices": self.our_choices,
            "warnings": self.warnings,
        }
        return record if self.out is None else record | {"out_of_distribution": asdict(self.out)}

    def write(self, directory: Path | UPath) -> Path | UPath:
        """Write the files, report.md last, so that its presence means a whole report. Returns its path.

        report.html says the same, on one page that holds its pictures and needs no other file. The directory is made if
        missing, older reports in it are replaced. Raises ValueError for NaN scores, KeyError for a missing key.
        """
        plots = self._plots()
        markdown = self.markdown({name: caption for name, (caption, _) in plots.items()})
        text = json.dumps(_plain(self.record()), indent=2, ensure_ascii=False, allow_nan=False)
        pictures = {name: png for name, (_, png) in plots.items()}
        directory.mkdir(parents=True, exist_ok=True)
        for name, png in pictures.items():
            (directory / name).write_bytes(png)
        for name, table in {"table.csv": self.table, "out_of_distribution.csv": self.out}.items():
            if table is not None:
                (directory / name).write_text(tables.to_csv(table), encoding="utf-8")
        (directory / "report.json").write_text(text + "\n", encoding="utf-8")
        pictures |= _pictures(directory.parent / "analyses", self.findings)
        (directory / PAGE).write_text(page(self.title, markdown, pictures), encoding="utf-8")
        report = directory / "report.md"
        report.write_text(markdown, encoding="utf-8")
        return report

    def _plots(self) -> dict[str, tuple[str, bytes]]:
        """File name -> caption and PNG; empty without test images of the whole detector."""
        if not any(len(rows.scores) for rows in self.contests.values()):
            return {}
        from orchestrator.results.report.plots import histogram_plot, roc_plot  # matplotlib takes a second

        title = f"{LEAK}: configuration chosen by test AUROC" if self.leak else ""
        return {
            "roc.png": ("ROC curves of the whole detector", roc_plot(self.contests, title, self.unit)),
            "scores.png": ("Scores of normal and anomalous test images", histogram_plot(self.contests, title)),
        }


def _pictures(folder: Path | UPath, findings: tables.Findings) -> dict[str, bytes]:
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
