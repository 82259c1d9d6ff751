"""How a report's numbers are written: tables of AUROC for Markdown and CSV, and the report's smaller tables.

Kinds of number stay apart, undefined stays blank, a leak says so wherever it is shown. Pure functions of finished
facts; the words are in report.md.jinja.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.results.sweep import Repeated
from orchestrator.results.tables import KINDS, LEAK, Known, Row, Table
from workloads.data.reading.account import Account, few_of
from workloads.scoring.intervals import Interval
from workloads.scoring.metrics import Rows, mean
from workloads.scoring.paired import Difference, OverSeeds
from workloads.scoring.selection import CRITERIA, Select

UNDEFINED = "–"
WIDEST = 40
"""Columns that anyone can read across."""
UNSCORED = "†"
"""Beside an AUROC over images of which some could not be scored."""

Findings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""analysis -> class -> {"numbers": name -> value or None, "pictures": stem -> file name}."""
Trials = Sequence[Mapping[str, Any]]

ORACLE = "oracle"
LABEL_FREE = tuple(name for name, criterion in CRITERIA.items() if not criterion.leak)
SELECTED_BY = {
    "contrastive": "the contrastive score: held-out normal images against proxies of anomalies, no test label seen",
    "likelihood": "the lowest bits/dim of held-out normal images, no test label seen",
    ORACLE: f"its test AUROC, a **{LEAK}**: the numbers below it are too good and estimate nothing",
    "given": "nothing: one configuration was given, none was searched",
}
UNITS = {"classes": "normal class", "out sets": "out set"}
"""A table's unit -> one of them."""


def to_markdown(table: Table) -> str:
    """A GitHub table, mean last; a line with the kind opens each section. Notes follow as a list.

    Of more than `WIDEST` columns the table is turned, and each row's kind stands in its heading.
    """
    rows, turned = [], len(table.columns) > WIDEST
    for kind, section in sections(table):
        rows += [] if turned else [[f"*{kind}*", *[""] * len(table.columns)]]
        for row, cells in shown_cells(table, section):
            name = f"{row.name}, {kind}" if turned else row.name
            name = f"{name} (**{LEAK}**)" if row.leak else name
            rows.append([name, *(f"**{text}**" if best else text for text, best in cells)])
    notes = [f"- {cell(line)}" for line in all_notes(table)]
    return "\n".join([across(["", *table.columns], rows), *(["", *notes] if notes else [])]) + "\n"


def to_csv(table: Table) -> str:
    """One line a row: name, kind, leak (true or false), note, the classes, mean. Full precision; undefined is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "kind", "leak", "note", *table.columns])
    for _, rows in sections(table):
        writer.writerows([row.name, row.kind, str(row.leak).lower(), row.note, *cells(table, row)] for row in rows)
    return out.getvalue()


def to_json(record: Mapping[str, Any]) -> str:
    """Of anything that a report holds."""
    return json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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


def number(value: float | None) -> str:
    """An AUROC to three decimals without the leading zero, as the papers print it; a dash when undefined."""
    if value is None:
        return UNDEFINED
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def ranged(value: float | None, interval: Interval | None) -> str:
    """An AUROC and its interval: .912 [.880, .944]."""
    low, high = interval or (None, None)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def difference_cells(difference: Difference | OverSeeds) -> list[str]:
    """A difference of AUROCs, its interval and its p."""
    low, high = difference.interval
    return [signed(difference.value), f"{signed(low)} to {signed(high)}", p_of(difference.p)]


def signed(value: float) -> str:
    """+.012."""
    return ("+" if value >= 0 else "-") + number(abs(value))


def p_of(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return "< .001" if value < 0.001 else number(value)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], text: int = 0) -> str:
    """A GitHub table. The first column and the last `text` ones are words, those between them numbers."""
    rule = "|---|" + "---:|" * (len(heads) - 1 - text) + "---|" * text
    first, *others = ("| " + " | ".join(map(cell, cells)) + " |" for cells in (heads, *rows))
    return "\n".join([first, rule, *others])


def across(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A GitHub table with a column a class. Of more than `WIDEST` it is turned: a row a class, the last of them first,
    which is the mean where there is one."""
    lines = list(rows)
    if len(heads) - 1 <= WIDEST:
        return markdown_table(heads, lines)
    first, *others = zip(heads, *lines, strict=True)
    return markdown_table(first, [others[-1], *others[:-1]])


def cell(text: Any) -> str:
    """What stands in a cell of a Markdown table: one line, whose bars divide nothing."""
    return " ".join(str(text).split()).replace("|", "\\|")


def sections(table: Table) -> list[tuple[str, list[Row]]]:
    """Each kind that a row has, in their order, with its rows."""
    by_kind = ((kind, [row for row in table.rows if row.kind == kind]) for kind in KINDS.values())
    return [(kind, rows) for kind, rows in by_kind if rows]


def shown_cells(table: Table, rows: Sequence[Row]) -> Iterator[tuple[Row, list[tuple[str, bool]]]]:
    """Rows of one kind with their cells' text, and whether a cell is the best of several rivals in its column."""
    rivals = [_rivals(table, row) for row in rows]
    columns = ([value for value in column if value is not None] for column in zip(*rivals, strict=True))
    best = [max(values) if len(values) > 1 else None for values in columns]
    for row, values in zip(rows, rivals, strict=True):
        marks = (value is not None and value == top for value, top in zip(values, best, strict=True))
        numbers = zip(map(number, cells(table, row)), _unscored(table, row), strict=True)
        yield row, list(zip([text + UNSCORED * failed for text, failed in numbers], marks, strict=True))


def _unscored(table: Table, row: Row) -> list[bool]:
    """Of every cell of a row, whether some of its images could not be scored."""
    marks = [name in row.unscored for name in table.classes]
    return [*marks, mean_unscored(table, row)] if table.averaged else marks


def mean_unscored(table: Table, row: Row) -> bool:
    """Whether some image of a column that the mean is over could not be scored."""
    return bool(row.unscored.keys() - {*table.apart})


def failures(row: Row) -> str:
    """How many images of a row's columns could not be scored, and what that means; empty where all were scored."""
    counts = ", ".join(f"{name} {failed} of {images}" for name, (failed, images) in row.unscored.items())
    return f"{UNSCORED} images or groups that could not be scored rank above all others: {counts}" if counts else ""


def _rivals(table: Table, row: Row) -> list[float | None]:
    """What competes for the best of a column: cells of measured rows, leaks left out.

    A mean over fewer classes is no rival: what it lacks may be the hard ones.
    """
    values = cells(table, row)
    if row.leak or not table.rivals or not row.kind.startswith("measured"):
        return [None] * len(values)
    return values if not table.averaged or defined(table, row) == averaged(table) else [*values[:-1], None]


def all_notes(table: Table) -> list[str]:
    """Notes of rows, those with the same words together or under their kind, then the table's own."""
    named: dict[tuple[str, str], list[str]] = {}
    by_kind = sections(table)
    for kind, rows in by_kind:
        for row in rows:
            if row.mean is not None and defined(table, row) < averaged(table):
                reason = f"mean over {defined(table, row)} of {averaged(table)} {table.unit}"
                named.setdefault((kind, reason), []).append(row.name)
            if row.unscored:
                named.setdefault((kind, failures(row)), []).append(row.name)
            if row.note:
                named.setdefault((kind, row.note), []).append(row.name)
    sizes = {kind: len(rows) for kind, rows in by_kind}
    whose = {
        key: key[0] if len(names) == sizes[key[0]] else f"{', '.join(names)} ({key[0]})" for key, names in named.items()
    }
    return [*(f"{whose[key]}: {key[1]}" for key in named), *table.notes]


def cells(table: Table, row: Row) -> list[float | None]:
    """A row's values, column by column."""
    values = [row.values.get(name) for name in table.classes]
    return [*values, row.mean] if table.averaged else values


def averaged(table: Table) -> int:
    """Columns that a mean is over."""
    return len(table.classes) - len(table.apart)


def defined(table: Table, row: Row) -> int:
    """Columns of the mean for which the row has a value."""
    return sum(row.values.get(name) is not None for name in table.classes if name not in table.apart)


def headlines(table: Table) -> list[Row]:
    """The measured rows with a mean; where rows are a detector's scores, the last of a kind, which is the whole's."""
    rows = []
    for kind in (kind for kind in KINDS.values() if kind.startswith("measured")):
        whole = [row for row in table.rows if row.kind == kind and row.mean is not None]
        rows += whole if table.unit == "classes" else whole[-1:]
    return rows


def per_part(levels: Mapping[str, Mapping[str, float | None]], kind: str, classes: Sequence[str]) -> str:
    """AUROC of every part of the detector: rows are those, columns the classes, mean last. kind: what a part is."""
    values = {part: [areas.get(name) for name in classes] for part, areas in levels.items()}
    return across([kind, *classes, "mean"], ([part, *_numbers([*v, mean(v)])] for part, v in values.items()))


def other_metrics(others: Mapping[str, Mapping[str, float | None]]) -> str:
    """Metrics beside the AUROC: rows are those, columns the main table's, mean last."""
    rows = ([name, *_numbers(values.values())] for name, values in others.items())
    return across(["", *next(iter(others.values()))], rows)


def intervals(contests: Mapping[str, Rows], numbers: Mapping[str, Known], unit: str) -> str:
    """Sizes, AUROC and 95 % interval of the whole detector by column, the mean last; empty without test images.

    contests: what a column's AUROC is over. numbers: AUROC and interval of every column, and of the mean.
    """
    lines = []
    for name, rows in contests.items():
        failed = str(int(np.isinf(rows.scores).sum()))
        area, interval = numbers[name]
        lines.append([name, *map(str, _sizes(rows)), failed, number(area), _ends(interval)])
    if len(lines) > 1 and "mean" in numbers:
        area, interval = numbers["mean"]
        lines.append(["mean", "", "", "", number(area), _ends(interval)])
    heads = [unit, "normal", "anomalous", "not scored", "AUROC", "95 % interval"]
    return markdown_table(heads, lines) if lines else ""


def group_intervals(groups: Mapping[str, Mapping[str, Rows]]) -> str:
    """How sure the AUROC of groups of images is: rows are the scores by group size, columns those of the main table."""
    lines = (
        [part, *(ranged(rows.auroc(), rows.interval()) for rows in columns.values())]
        for part, columns in groups.items()
    )
    return markdown_table(["score/group size", *next(iter(groups.values()))], lines) if groups else ""


def group_counts(groups: Mapping[str, Mapping[str, Rows]]) -> dict[int, str]:
    """Group size -> how many groups of it every column has, normal and anomalous; by size."""
    by_size = {int(part.rpartition("/")[2]): columns for part, columns in reversed([*groups.items()])}
    return {
        size: ", ".join("{} {} and {}".format(name, *_sizes(rows)) for name, rows in by_size[size].items())
        for size in sorted(by_size)
    }


def _sizes(rows: Rows) -> tuple[int, int]:
    """How many are normal and how many anomalous."""
    return int((~rows.anomalous).sum()), int(rows.anomalous.sum())


def _ends(interval: Interval | None) -> str:
    return UNDEFINED if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def numbers(targets: Mapping[str, Mapping[str, Any]]) -> str:
    """The numbers of an analysis: columns are the classes. Those in [0, 1] as AUROCs, others with three digits."""
    names = dict.fromkeys(key for finding in targets.values() for key in finding["numbers"])
    values = {key: [finding["numbers"].get(key) for finding in targets.values()] for key in names}
    rows = ([key, *(f"{v:.3g}" if v and not 0 <= v <= 1 else number(v) for v in row)] for key, row in values.items())
    return across(["", *targets], rows) if values else ""


def all_trials(trials: Trials, criterion: Select, leak: bool) -> str:
    """Every trial, best first by the criterion; undefined last."""
    params = list(dict.fromkeys(name for trial in trials for name in trial.get("params", {})))
    shown = {"trial", "params", "auroc", "classes", "levels", *LABEL_FREE}
    others = list(dict.fromkeys(name for trial in trials for name in trial if name not in shown))
    criteria = [name for name in LABEL_FREE if any(name in trial for trial in trials)]
    tested = f"test AUROC (**{LEAK}**)" if leak else f"test AUROC (choosing by it: **{LEAK}**)"
    rows = [
        [
            str(trial["trial"]),
            *_numbers(map(trial.get, [*criteria, "auroc"])),
            *(str(trial.get("params", {}).get(name, "")) for name in params),
            *(str(trial.get(name, "")) for name in others),
        ]
        for trial in ranked(trials, criterion)
    ]
    return markdown_table(["trial", *criteria, tested, *params, *others], rows, text=len(params) + len(others))


def per_class(trials: Trials, classes: Sequence[str]) -> str:
    """AUROC per class of trials, for spaces that compare points rather than search them.

    In the order of the plan: a row is no worse for standing below another.
    """
    values = ([*map(trial["classes"].get, classes), trial.get("auroc")] for trial in trials)
    rows = ([_point(trial), *_numbers(row)] for trial, row in zip(trials, values, strict=True))
    return across(["trial", *classes, "mean"], rows)


def parts_alone(trials: Trials) -> str:
    """Each trial's parts alone, mean over the classes; nothing where the trials have none."""
    parts = list(dict.fromkeys(part for trial in trials for part in trial.get("levels", {})))
    rows = ([_point(trial), *_numbers(map(trial.get("levels", {}).get, parts))] for trial in trials)
    return markdown_table(["trial, mean AUROC of a part alone", *parts], rows) if parts else ""


def repeated_rows(points: Sequence[Repeated]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of points that were trained with several seeds, for a report as for a terminal."""
    heads = ["seeds", "mean AUROC", "spread", "behind the winner", "95 % interval", "p", "point"]
    return heads, [
        [
            str(len(item.areas)),
            number(item.mean),
            number(item.spread),
            *(difference_cells(item.less) if item.less else [UNDEFINED] * 3),
            item.point,
        ]
        for item in points
    ]


def repeated_table(points: Sequence[Repeated]) -> str:
    heads, rows = repeated_rows(points)
    return markdown_table(heads, rows, text=1)


def cost_table(networks: Mapping[str, tuple[int, float, float | None]]) -> str:
    """Measured seconds of a network beside the plan's, by kind and part."""
    rows = []
    for name, (count, seconds, planned) in networks.items():
        beside = [f"{planned:.3g}", f"{seconds / planned:.2f}"] if planned else ["–", "–"]
        rows.append([name, str(count), f"{seconds:.3g}", *beside])
    return markdown_table(["network", "number", "seconds each", "planned", "ratio"], rows)


def account_table(account: Account) -> str:
    """What of a user's folder was not used, by reason, and every class folder with its counts."""
    reasons = [[item.reason, f"{item.count:,}", few_of(item.names, item.count)] for item in account.left_out]
    folders = ([folder, str(used), str(others)] for folder, (used, others) in account.folders.items())
    listed = [markdown_table(["why", "files", "the first of them"], reasons, text=1)] if reasons else []
    return "\n\n".join([*listed, markdown_table(["class folder", "images used", "other files"], folders)])


def ranked(trials: Trials, criterion: Select) -> list[Mapping[str, Any]]:
    """Best first by the criterion, trials without it last, in their own order."""
    key = "auroc" if criterion == ORACLE else criterion
    known = [trial for trial in trials if trial.get(key) is not None]
    unknown = [trial for trial in trials if trial.get(key) is None]
    return [*sorted(known, key=lambda trial: CRITERIA[criterion].better_first(trial[key])), *unknown]


def _point(trial: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in trial.get("params", {}).items()) or str(trial["trial"])


def _numbers(values: Iterable[float | None]) -> list[str]:
    return list(map(number, values))
