"""Finished tables of AUROC, plain data: made of the numbers that the ledger has and MLflow shows, and of no others.

Where classes are each other's anomalies, methods stand by class (`class_table`), and the winner's parts by class and
out set (`out_table`). Where a whole dataset is normal, the winner's parts stand by out set, beside them the dataset's
own anomalies where it has some (`set_table`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from orchestrator.record.events import RungMetrics
from orchestrator.record.state import TrialState
from tune_spaces.published import PublishedTable, Schedule
from workloads.data.catalogue import NOISE
from workloads.data.images import out_split
from workloads.scoring.baselines import CONVOLUTIONS, LARGEST, SMALL
from workloads.scoring.image_metrics import image_numbers
from workloads.scoring.intervals import Interval
from workloads.scoring.metrics import Rows, mean, unscored, whole_intervals
from workloads.scoring.selection import CRITERIA, Select
from workloads.scoring.table import WHOLE, group_size

KINDS = {
    "paper": "measured (paper schedule)",
    "reduced": "measured (reduced preset)",
    "smoke": "measured (smoke preset)",
    "custom": "measured (custom schedule)",
    "baseline": "baseline",
    "published": "published",
}
"""Label -> what a number is called; measured ones first."""
LEAK = "LEAK of test labels"
BASELINE_NOTE = f"scikit-learn, on pixels; images above {LARGEST}x{LARGEST} shrunk to that"
CONVOLUTIONS_NOTE = f"seeded random convolutions, nothing trained; images above {SMALL}x{SMALL} shrunk to that"
OWN_ANOMALIES = "own anomalies"
"""The column of a dataset's own anomalous test images, where it is normal as a whole."""
OTHER_METRICS = {
    "average_precision": "average precision",
    "best_f1": "best F1, its threshold chosen by test labels",
    "fpr95": "false positives at 95 % true positives (lower is better)",
    "pixel_auroc": "pixels: AUROC",
    "pixel_average_precision": "pixels: average precision",
    "pixel_aupro": "pixels: overlap with regions, to 30 % false positives",
}
"""Name in the ledger and in MLflow -> what a row of the second table is called."""
Papers = Mapping[str, PublishedTable]
"""Published tables by name, as `published.tables_of` has them."""
Known = tuple[float | None, Interval | None]
"""An AUROC and its interval."""


@dataclass(frozen=True)
class Row:
    """One method: AUROC in [0, 1] per class (None: undefined; absent: not run), the mean as its source states it.

    kind: a value of `KINDS`. leak: the configuration was picked by its test AUROC, so the numbers are no estimate of
    anything. interval: of the mean. unscored: class -> how many of its images could not be scored, of how many. Raises
    ValueError for an unknown kind or a value outside [0, 1].
    """

    name: str
    kind: str
    values: dict[str, float | None]
    mean: float | None
    note: str = ""
    leak: bool = False
    interval: Interval | None = None
    unscored: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS.values():
            raise ValueError(f"{self.name}: kind {self.kind!r} is none of {', '.join(KINDS.values())}")
        values = (*self.values.values(), self.mean)
        if outside := [value for value in values if value is not None and not 0 <= value <= 1]:
            raise ValueError(f"{self.name}: AUROC outside [0, 1]: {outside}")


@dataclass(frozen=True)
class Table:
    """Rows over the same classes, or other columns, called `unit`. notes: sentences shown below. averaged: the mean is
    a column, too; `apart` are columns that it leaves out. rivals: whether the rows are methods that compete; scores of
    one detector do not, for the best of them would be chosen by test labels.

    Raises ValueError for a row with an unknown class.
    """

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    averaged: bool = True
    unit: str = "classes"
    apart: tuple[str, ...] = ()
    rivals: bool = True

    def __post_init__(self) -> None:
        for row in self.rows:
            unknown = [name for name in row.values if name not in self.classes]
            if unknown:
                raise ValueError(f"{row.name}: values for unknown classes {', '.join(unknown)}")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.classes, "mean") if self.averaged else self.classes


@dataclass(frozen=True)
class Column:
    """An AUROC of every part: of a target against other classes' test images, or against an out set."""

    heading: str
    target: str
    out: str = ""

    @property
    def number(self) -> str:
        """The name of the whole detector's in the ledger and in MLflow."""
        return f"auroc_out/{self.out}/{self.target}" if self.out else f"auroc/{self.target}"

    def of(self, metrics: RungMetrics, part: str) -> float | None:
        if part == WHOLE:
            return metrics.numbers.get(self.number)
        return (metrics.out.get(self.out, {}) if self.out else metrics.levels).get(part, {}).get(self.target)


@dataclass(frozen=True)
class Measured:
    """A winner's numbers and what they are called. name, kind: of its rows. out: out sets in the space's order. pooled:
    whether a whole dataset is normal. judged: the part that its config is judged by."""

    metrics: RungMetrics
    dataset: str
    targets: tuple[str, ...]
    out: tuple[str, ...]
    pooled: bool
    name: str
    kind: str
    judged: str = WHOLE
    note: str = ""
    leak: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of the main table: what the detectors are tested on first of all."""
        by_target = tuple(Column(target, target) for target in self.targets)
        if not self.pooled:
            return by_target
        sets = tuple(Column(heading(name), self.targets[0], name) for name in self.out)
        known = self.metrics.numbers.get(by_target[0].number) is not None
        return (*sets, replace(by_target[0], heading=OWN_ANOMALIES)) if known else sets

    @property
    def parts(self) -> tuple[str, ...]:
        """Every score of the detectors, the whole last."""
        names = [*self.metrics.levels, *(part for parts in self.metrics.out.values() for part in parts)]
        return (*(part for part in dict.fromkeys(names) if part != WHOLE), WHOLE)

    def labelled(self, schedule: Schedule) -> Measured:
        """The same under the label of its schedule, and why it is a custom one."""
        why = f"; {schedule.text}" if schedule.label == "custom" else ""
        return replace(self, kind=KINDS[schedule.label], note=self.note + why)

    def values(self, part: str) -> dict[str, float | None]:
        """AUROC of a part by column of the main table."""
        return {column.heading: column.of(self.metrics, part) for column in self.columns}

    def average(self, part: str) -> float | None:
        """Mean AUROC of a part over the columns of the main table; own anomalies are in none."""
        return mean(column.of(self.metrics, part) for column in self.columns if column.heading != OWN_ANOMALIES)

    def others(self) -> dict[str, dict[str, float | None]]:
        """The whole detectors' numbers beside the AUROC: what each is -> column of the main table, and "mean" -> value.
        Metrics of which nothing is known are left out."""
        numbers = self.metrics.numbers
        places = {column.heading: column.number for column in self.columns} | {"mean": "auroc/mean"}
        rows = {
            title: {heading: numbers.get(number.replace("auroc", metric, 1)) for heading, number in places.items()}
            for metric, title in OTHER_METRICS.items()
        }
        return {title: values for title, values in rows.items() if any(v is not None for v in values.values())}

    def row(self, name: str, columns: Sequence[Column], part: str, number: str = "") -> Row:
        """A part's row with the mean that the ledger has under `number`, and its interval."""
        values = {column.heading: column.of(self.metrics, part) for column in columns}
        average, interval = self.metrics.numbers.get(number), self.metrics.intervals.get(number)
        counts = self.metrics.unscored.get(part, {})
        unscored = {column.heading: counts[column.number] for column in columns if column.number in counts}
        return Row(name, self.kind, values, average, self.note, self.leak, interval, unscored)


@dataclass(frozen=True)
class Finished:
    """All that a report shows of the winner's numbers. table: the main one. out, means: of out sets beside classes;
    out_known, out_contests: of their class/set columns, what `intervals` and `contests` are of the main table's.
    others: metric beside the AUROC -> column of the main table, or "mean" -> its value.
    levels: part -> column -> AUROC. intervals: AUROC and interval by column, and of the "mean". contests: column -> the
    scores that its AUROC is over; groups: the same of every part that scores groups."""

    table: Table
    out: Table | None
    means: dict[str, Known]
    levels: dict[str, dict[str, float | None]]
    intervals: dict[str, Known]
    contests: dict[str, Rows]
    groups: dict[str, dict[str, Rows]]
    out_known: dict[str, Known] = field(default_factory=dict)
    out_contests: dict[str, Rows] = field(default_factory=dict)
    others: dict[str, dict[str, float | None]] = field(default_factory=dict)

    @property
    def unscored_sets(self) -> frozenset[str]:
        """Out sets beside classes of which some `means` is over images that could not be scored."""
        whole = self.out.rows if self.out else ()
        return frozenset(name.rpartition("/")[2] for row in whole if row.name == WHOLE for name in row.unscored)


def finished(
    run: Measured,
    baselines: Mapping[str, Mapping[str, float | None]],
    papers: Papers,
    counts: Mapping[str, int],
    contests: Callable[[str], Mapping[str, Rows]],
) -> Finished:
    """Tables of the winner's numbers. baselines: name -> class, or out set -> AUROC. counts: images by split. contests:
    part -> what each of its numbers is over."""
    numbers, intervals = run.metrics.numbers, run.metrics.intervals
    beside = () if run.pooled else tuple(Column(f"{t}/{heading(s)}", t, s) for s in run.out for t in run.targets)

    def known(columns: Sequence[Column]) -> dict[str, Known]:
        return {column.heading: (numbers.get(column.number), intervals.get(column.number)) for column in columns}

    def by_column(part: str, columns: Sequence[Column] = run.columns) -> dict[str, Rows]:
        rows = contests(part)
        return {column.heading: rows[column.number] for column in columns if column.number in rows}

    main, parts = known(run.columns), {part: by_column(part) for part in run.parts if part == WHOLE or group_size(part)}
    out, levels = out_table(run, counts, papers), {} if run.pooled else {part: run.values(part) for part in run.parts}
    means = set_means(run) if run.out and not run.pooled else {}
    aside = (known(beside), by_column(WHOLE, beside) if beside else {}, run.others())
    table = main_table(run, baselines, papers)
    whole = next(row for row in table.rows if row.kind == run.kind and (row.name == WHOLE or not run.pooled))
    numbered = main | {"mean": (whole.mean, whole.interval)}
    return Finished(table, out, means, levels, numbered, parts.pop(WHOLE), parts, *aside)


def label_free(instance: Any) -> list[Select]:
    """Every criterion of a method that needs no test label."""
    return [name for name in instance.selections if not CRITERIA[name].leak]


def trial_row(trial: TrialState, instance: Any, run: Measured | None) -> dict[str, Any]:
    """A trial as the report lists it; by column and part only at the end of its schedule, where it has a `run`."""
    numbers = trial.last.numbers if trial.rungs else {}
    alone = {part: run.average(part) for part in run.parts if part != WHOLE} if run else {}
    return {
        "trial": trial.id,
        "params": trial.point,
        **{name: numbers.get(CRITERIA[name].metric) for name in label_free(instance)},
        "auroc": numbers.get("oracle"),
        "levels": {part: value for part, value in alone.items() if value is not None},
        "state": str(trial.state),
        "schedule": f"{trial.reached / 10:g} %",
        "classes": run.values(WHOLE) if run else {},
    }


def completed(run: Measured, scores: pa.Table) -> Measured:
    """The winner's numbers with what runs of earlier versions lack, from its score table."""
    metrics = run.metrics
    if not metrics.intervals:
        intervals = whole_intervals(scores, pooled=run.pooled)
        metrics = replace(metrics, intervals=intervals, unscored=unscored(scores))
    if "average_precision/mean" not in metrics.numbers:
        metrics = replace(metrics, numbers=image_numbers(scores, pooled=run.pooled) | metrics.numbers)
    return replace(run, metrics=metrics)


def main_table(run: Measured, baselines: Mapping[str, Mapping[str, float | None]], papers: Papers) -> Table:
    """The winner's: methods by class, or where a whole dataset is normal its scores by out set."""
    return set_table(run, baselines, papers) if run.pooled else class_table(run, baselines, papers)


def class_table(run: Measured, baselines: Mapping[str, Mapping[str, float | None]], papers: Papers) -> Table:
    """Measured, baseline and published rows; kinds never mix. Where groups are judged, published rows of images do not
    stand beside them, and baselines judge groups, too."""
    group = group_size(run.judged)
    name = run.name + (f", groups of {group}" if group else "")
    measured = run.row(name, run.columns, WHOLE, "auroc/mean")
    others = [baseline_row(rival, values, group) for rival, values in baselines.items()]
    table = Table(run.targets, (measured, *others))
    known = None if group else papers.get(run.dataset)
    return with_published(table, known) if known else table


def baseline_row(name: str, values: Mapping[str, float | None], group: int) -> Row:
    """group: how many images are judged together beside it; 0 for single ones."""
    note = CONVOLUTIONS_NOTE if name == CONVOLUTIONS else BASELINE_NOTE
    note += f"; groups of {group}, formed anew, by the mean of their images' scores" if group > 1 else ""
    return Row(name, "baseline", dict(values), mean(values.values()), note)


def set_table(run: Measured, baselines: Mapping[str, Mapping[str, float | None]], papers: Papers) -> Table:
    """Rows are the parts, the whole last, then baselines; columns the out sets and own anomalies. Published rows stand
    below."""
    sets = [column for column in run.columns if column.out]
    rows = []
    for part in run.parts:
        row = run.row(part, run.columns, part, "auroc_out/mean")
        rows.append(row if part == WHOLE else replace(row, mean=run.average(part), interval=None))
    groups = any(group_size(row.name) for row in rows)  # groups stand beside groups, never beside single images
    for rival, areas in baselines.items():
        known = {heading(name): areas.get(name) for name in run.out}
        rows.append(baseline_row(rival, known, group_size(run.judged)))
    notes = [f"`{WHOLE}` is the detector's own score. Normal are all test images of {heading(run.dataset)}."]
    apart = (OWN_ANOMALIES,) if len(run.columns) > len(sets) else ()
    if apart:
        notes.append(
            f"`{OWN_ANOMALIES}` are test images of the dataset's classes that nobody learns; they are not in the mean."
        )
    table = Table(
        tuple(column.heading for column in run.columns),
        tuple(rows),
        tuple(notes),
        unit="out sets",
        apart=apart,
        rivals=False,
    )
    return _beside(table, papers.get(f"{run.dataset}_{'groups' if groups else 'in_out'}"))


def out_table(run: Measured, counts: Mapping[str, int], papers: Papers) -> Table | None:
    """Rows are the parts, the whole last; columns ``target/set``, set by set; None without out sets.

    The first set, ``rDATASET``, is the other classes of the dataset: the ordinary per-class AUROC. counts: images by
    split, for a note. The paper's rows stand below where it has such a table and shares columns with it.
    """
    if run.pooled or not run.metrics.out:
        return None
    rest = Column(f"r{heading(run.dataset)}", "")
    blocks = (rest, *(Column(heading(name), "", name) for name in run.out))
    columns = [
        replace(block, heading=f"{target}/{block.heading}", target=target) for block in blocks for target in run.targets
    ]
    rows = [run.row(part, columns, part) for part in run.parts]
    sizes = ", ".join(f"{counts.get(out_split(name), '?')} of {heading(name)}" for name in run.out)
    notes = (f"Measured against the other classes' test images ({rest.heading}) and out-set images: {sizes}.",)
    headings = tuple(column.heading for column in columns)
    return _beside(Table(headings, tuple(rows), notes, averaged=False, rivals=False), papers.get(f"{run.dataset}_ood"))


def set_means(run: Measured) -> dict[str, Known]:
    """Mean over the targets of the whole detectors' AUROC by set, with its interval; the other classes first."""
    names = {f"r{heading(run.dataset)}": "auroc/mean"} | {heading(s): f"auroc_out/{s}/mean" for s in run.out}
    return {key: (run.metrics.numbers.get(name), run.metrics.intervals.get(name)) for key, name in names.items()}


def with_published(table: Table, known: PublishedTable) -> Table:
    """The table with the paper's rows added under the kind "published", matched to its classes by name.

    Columns that the paper only numbers are matched by their likely names. Where the table shows other classes than the
    paper, the printed mean would compare unlike things: it is replaced by the mean over the shown ones. Raises
    ValueError if no class is shared.
    """
    likely = known.likely_columns
    columns = likely if likely and not set(known.columns) & set(table.classes) else known.columns
    if not set(columns) & set(table.classes):
        raise ValueError(f"{known.name} has none of the classes {', '.join(table.classes)}")
    same = set(columns) == set(table.classes)
    rows = []
    for row in known.rows:
        values = {name: value for name, value in zip(columns, row.values, strict=True) if name in table.classes}
        average = row.mean if same or not table.averaged else mean(values.values())
        note = row.group if same or average is None else f"{row.group}; mean over the shown classes is ours"
        rows.append(Row(row.name, "published", dict(values), average, note))
    matched = ("Published columns are matched by our guess at their names.",) if columns is likely else ()
    notes = (*table.notes, f"Published: {known.source}.", known.note, *matched)
    return replace(table, rows=(*table.rows, *rows), notes=notes)


def heading(name: str) -> str:
    """A dataset's name as the paper's Table 4 writes it."""
    return name.capitalize() if name == NOISE else name.upper()


def _beside(table: Table, numbers: PublishedTable | None) -> Table:
    """The table with published rows, if there are such and they share a column."""
    return with_published(table, numbers) if numbers and set(numbers.columns) & set(table.classes) else table
