"""Tables of AUROC per class: kinds of number stay apart, undefined stays blank, a leak says so wherever it is shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich import table as rich_table
from rich.console import Group
from rich.text import Text

from tune_spaces.published import PublishedTable
from workloads.scoring.metrics import mean

KINDS = (
    "measured (paper schedule)",
    "measured (reduced preset)",
    "measured (smoke preset)",
    "measured (custom schedule)",
    "baseline",
    "published",
)
LEAK = "LEAK of test labels"
UNDEFINED = "–"


def with_published(table: Table, published: PublishedTable) -> Table:
    """The table with the paper's rows added under the kind "published", matched to its classes by name.

    Columns that the paper only numbers are matched by their likely names. Where the table shows other classes than the
    paper, the printed mean would compare unlike things: it is replaced by the mean over the shown ones. Raises
    ValueError if no class is shared.
    """
    likely = published.likely_columns
    columns = likely if likely and not set(published.columns) & set(table.classes) else published.columns
    if not set(columns) & set(table.classes):
        raise ValueError(f"{published.name} has none of the classes {', '.join(table.classes)}")
    same = set(columns) == set(table.classes)
    rows = []
    for row in published.rows:
        values = {name: value for name, value in zip(columns, row.values, strict=True) if name in table.classes}
        average = row.mean if same or not table.averaged else mean(values.values())
        note = row.group if same or average is None else f"{row.group}; mean over the shown classes is ours"
        rows.append(Row(row.name, "published", dict(values), average, note))
    matched = ("Published columns are matched by our guess at their names.",) if columns is likely else ()
    notes = (*table.notes, f"Published: {published.source}.", published.note, *matched)
    return replace(table, rows=(*table.rows, *rows), notes=notes)


def to_markdown(table: Table) -> str:
    """A GitHub table, mean last; a line with the kind opens each section. Notes follow as a list."""
    rows = []
    for kind, section in _sections(table):
        rows.append([f"*{kind}*", *[""] * len(table.columns)])
        for row, cells in _shown(table, section):
            name = f"{row.name} (**{LEAK}**)" if row.leak else row.name
            rows.append([name, *(f"**{text}**" if best else text for text, best in cells)])
    notes = [f"- {_escaped(line)}" for line in _notes(table)]
    return "\n".join([markdown_table(["", *table.columns], rows), *(["", *notes] if notes else [])]) + "\n"


def to_csv(table: Table) -> str:
    """One line a row: name, kind, leak (true or false), note, the classes, mean. Full precision; undefined is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "kind", "leak", "note", *table.columns])
    for _, rows in _sections(table):
        writer.writerows([row.name, row.kind, str(row.leak).lower(), row.note, *table.cells(row)] for row in rows)
    return out.getvalue()


def to_rich(table: Table) -> Group:
    """For the terminal: the same sections, divided by rules, and below them the notes over the full width."""
    # Without vertical lines ten classes fit into 80 columns.
    lines = rich_table.Table(box=box.HORIZONTALS, padding=0, pad_edge=False)
    lines.add_column("", overflow="fold", min_width=12)
    for name in table.columns:
        lines.add_column(Text(name), justify="right", overflow="fold", min_width=4)
    for kind, section in _sections(table):
        lines.add_section()
        lines.add_row(Text(kind, style="italic"))
        for row, cells in _shown(table, section):
            label = Text(f"{row.name} {LEAK}", style="bold red") if row.leak else Text(row.name)
            lines.add_row(label, *(Text(text, style="bold" if best else "") for text, best in cells))
    return Group(lines, *(Text(line, style="table.caption") for line in _notes(table)))


def number(value: float | None) -> str:
    """An AUROC to three decimals without the leading zero, as the papers print it; a dash when undefined."""
    if value is None:
        return UNDEFINED
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def ranged(value: float | None, interval: tuple[float, float] | None) -> str:
    """An AUROC and its interval: .912 [.880, .944]."""
    low, high = interval or (None, None)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], text: int = 0) -> str:
    """A GitHub table. The first column and the last `text` ones are words, those between them numbers."""
    rule = "|---|" + "---:|" * (len(heads) - 1 - text) + "---|" * text
    first, *others = ("| " + " | ".join(map(_escaped, cells)) + " |" for cells in (heads, *rows))
    return "\n".join([first, rule, *others])


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _sections(table: Table) -> list[tuple[str, list[Row]]]:
    by_kind = ((kind, [row for row in table.rows if row.kind == kind]) for kind in KINDS)
    return [(kind, rows) for kind, rows in by_kind if rows]


def _shown(table: Table, rows: Sequence[Row]) -> Iterator[tuple[Row, list[tuple[str, bool]]]]:
    """Rows of one kind with their cells' text, and whether a cell is the best of several rivals in its column."""
    rivals = [_rivals(table, row) for row in rows]
    columns = ([value for value in column if value is not None] for column in zip(*rivals, strict=True))
    best = [max(values) if len(values) > 1 else None for values in columns]
    for row, values in zip(rows, rivals, strict=True):
        marks = (value is not None and value == top for value, top in zip(values, best, strict=True))
        yield row, list(zip(map(number, table.cells(row)), marks, strict=True))


def _rivals(table: Table, row: Row) -> list[float | None]:
    """What competes for the best of a column: cells of measured rows, leaks left out.

    A mean over fewer classes is no rival: what it lacks may be the hard ones.
    """
    cells = table.cells(row)
    if row.leak or not row.kind.startswith("measured"):
        return [None] * len(cells)
    return cells if not table.averaged or table.defined(row) == len(table.classes) else [*cells[:-1], None]


def _notes(table: Table) -> list[str]:
    """Notes of rows, those with the same words together or under their kind, then the table's own."""
    named: dict[tuple[str, str], list[str]] = {}
    sections = _sections(table)
    for kind, rows in sections:
        for row in rows:
            if row.mean is not None and table.defined(row) < len(table.classes):
                reason = f"mean over {table.defined(row)} of {len(table.classes)} {table.unit}"
                named.setdefault((kind, reason), []).append(row.name)
            if row.note:
                named.setdefault((kind, row.note), []).append(row.name)
    sizes = {kind: len(rows) for kind, rows in sections}
    whose = {
        key: key[0] if len(names) == sizes[key[0]] else f"{', '.join(names)} ({key[0]})" for key, names in named.items()
    }
    return [*(f"{whose[key]}: {key[1]}" for key in named), *table.notes]


@dataclass(frozen=True)
class Row:
    """One method: AUROC in [0, 1] per class (None: undefined; absent: not run), the mean as its source states it.

    kind: one of `KINDS`. leak: the configuration was picked by its test AUROC, so the numbers are no estimate of
    anything. Raises ValueError for an unknown kind or a value outside [0, 1].
    """

    name: str
    kind: str
    values: dict[str, float | None]
    mean: float | None
    note: str = ""
    leak: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind {self.kind!r} is none of {', '.join(KINDS)}")
        values = (*self.values.values(), self.mean)
        if outside := [value for value in values if value is not None and not 0 <= value <= 1]:
            raise ValueError(f"{self.name}: AUROC outside [0, 1]: {outside}")


@dataclass(frozen=True)
class Table:
    """Rows over the same classes, or other columns, called `unit`. notes: sentences shown below. averaged: the mean is
    a column, too.

    Raises ValueError for a row with an unknown class.
    """

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    averaged: bool = True
    unit: str = "classes"

    def __post_init__(self) -> None:
        for row in self.rows:
            unknown = [name for name in row.values if name not in self.classes]
            if unknown:
                raise ValueError(f"{row.name}: values for unknown classes {', '.join(unknown)}")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.classes, "mean") if self.averaged else self.classes

    def cells(self, row: Row) -> list[float | None]:
        """A row's values, column by column."""
        values = [row.values.get(name) for name in self.classes]
        return [*values, row.mean] if self.averaged else values

    def defined(self, row: Row) -> int:
        """Classes for which the row has a value."""
        return sum(row.values.get(name) is not None for name in self.classes)
