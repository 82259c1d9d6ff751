"""Writes a report to a folder, local or remote: report.html, report.md, report.json, a CSV a table, and the plots."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from upath import UPath

from orchestrator.results.report import tables
from orchestrator.results.report.captions import CAPTIONS, CHARTS, MOST_PLOTTED
from orchestrator.results.report.page import page
from orchestrator.results.report.templates import TEMPLATES
from orchestrator.results.sweep import Sweep
from orchestrator.results.tables import LEAK, Finished
from tune_spaces.published import Schedule
from workloads.data.reading.account import Account
from workloads.files import read_checked, remove_partials, write_atomically
from workloads.scoring.effects import FEWEST
from workloads.scoring.selection import Select

PAGE = "report.html"
REMADE = "resume the run: that makes the analysis again"


@dataclass(frozen=True)
class Report:
    """What a report shows: finished facts, none of them computed here.

    facts: what heads it: dataset, preset, seeds, hardware. shown: the winner's numbers. schedule: how it was trained.
    trials: each with "trial" (its id), "params", "contrastive" and "auroc" (mean test AUROC), both in [0, 1] or None;
        "classes", class -> test AUROC, of those that reached the end; "levels", part -> mean test AUROC of it alone.
        Further keys become columns.
    selection: "select_by" (a criterion or "given"), "trial", "params", criteria and "auroc" as in trials.
    costs: kind of network -> number, mean seconds, planned seconds. part_kind: what the method calls a part.
    findings: of the analyses; their pictures lie in ../analyses. about: analysis -> what it shows, in a line.
    account: of a user's folder, what was not used. sweep: what its trials tell together, where there are several.
    Raises ValueError for an unknown select_by.
    """

    title: str
    facts: Mapping[str, str]
    shown: Finished
    trials: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    selection: Mapping[str, Any]
    schedule: Schedule | None = None
    part_kind: str = "score"
    costs: Mapping[str, tuple[int, float, float | None]] = field(default_factory=dict)
    findings: tables.Findings = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    sweep: Sweep | None = None

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

    def markdown(self) -> str:
        """The whole as Markdown."""
        text = TEMPLATES.get_template("report.md.jinja").render(
            vars(self),
            **vars(self.shown),
            unscored_sets=self.shown.unscored_sets,
            leak=self.leak,
            unit=tables.UNITS[self.shown.table.unit],
            captions=self.captions,
            charts=self.charts,
            fewest=FEWEST,
            criterion=self.criterion,
            ended=[trial for trial in self.trials if trial.get("classes")],
            headlines=tables.headlines(self.shown.table),
            reason=tables.SELECTED_BY[self.by],
            picked=None if self.sweep is None or self.leak else self.sweep.picked,
        )
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"

    @property
    def captions(self) -> dict[str, str]:
        """File -> what it shows, of the plots of scores."""
        columns, half = len(self.shown.contests), MOST_PLOTTED // 2
        some = f": {half} of {columns} with the lowest AUROC, {half} with the highest" if columns > 2 * half else ""
        return {name: text + some for name, text in CAPTIONS.items()} if self.has_scores else {}

    @property
    def charts(self) -> dict[str, str]:
        """File -> what it shows, of those charts that the sweep has anything for."""
        if self.sweep is None:
            return {}
        courses, words = self.sweep.courses, {"criterion": self.sweep.criterion, "rung": self.sweep.rung / 10}
        lacking = {
            "effects.svg": not self.sweep.effects,
            "cost.svg": all(course.last[1] is None for course in courses),
            "curves.svg": all(len(course.rungs) < 2 for course in courses),
        }
        return {name: text.format(**words) for name, text in CHARTS.items() if not lacking.get(name)}

    @property
    def has_scores(self) -> bool:
        """Whether there are test images of the whole detector to plot."""
        return any(len(rows.scores) for rows in self.shown.contests.values())

    def record(self) -> dict[str, Any]:
        """The whole as values for report.json."""
        shown, schedule = self.shown, self.schedule
        record = {
            "title": self.title,
            "facts": self.facts,
            "table": asdict(shown.table),
            "selection": {**self.selection, "leak": self.leak},
            "trials": self.trials,
            "levels": shown.levels,
            "other_metrics": shown.others,
            "analyses": self.findings,
            "costs": self.costs,
            "intervals": {name: interval for name, (_, interval) in shown.intervals.items()},
            "schedule": None if schedule is None else asdict(schedule),
            "warnings": self.warnings,
            "seeds": [item.facts() for item in self.sweep.repeated] if self.sweep else [],
            "account": None if self.account is None else asdict(self.account),
        }
        return record if shown.out is None else record | {"out_of_distribution": asdict(shown.out)}

    def write(self, directory: Path | UPath) -> Path | UPath:
        """Write the files, report.md last, so that its presence means a whole report. Returns its path.

        report.html says the same, on one page that holds its pictures and needs no other file. The directory is made if
        missing, older reports in it are replaced. Raises ValueError for NaN scores, KeyError for a missing key.
        """
        pictures, record = _pictures(directory.parent / "analyses", self.findings), self.record()
        markdown = self.markdown()
        csvs = {"table.csv": self.shown.table, "out_of_distribution.csv": self.shown.out}
        texts = {name: tables.to_csv(table) for name, table in csvs.items() if table is not None}
        record["trials"] = tables.ranked(self.trials, self.criterion)
        texts["report.json"] = tables.to_json(record)
        directory.mkdir(parents=True, exist_ok=True)
        remove_partials(directory)
        if self.captions or self.charts:
            from orchestrator.results.report import plots  # matplotlib takes a second

            warning = f"{LEAK}: configuration chosen by test AUROC" if self.leak else ""
            unit = tables.UNITS[self.shown.table.unit]
            drawn = plots.drawn(self.shown.contests, warning, unit) if self.captions else {}
            drawn |= plots.drawn_sweep(self.sweep, self.charts) if self.sweep else {}
            for name, (file, picture) in drawn.items():
                write_atomically(directory / name, file)
                pictures[name] = picture
        for name, text in texts.items():
            write_atomically(directory / name, text.encode())
        write_atomically(directory / PAGE, page(self.title, markdown, pictures).encode())
        report = directory / "report.md"
        write_atomically(report, markdown.encode())
        return report


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
