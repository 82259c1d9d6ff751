"""Tables of AUROC per class: kinds of number stay apart, undefined stays blank, a leak says so wherever it is shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
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
    columns = _columns(table)
    lines = [markdown_row(["", *columns]), "|---|" + "---:|" * len(columns)]
    for kind, rows in _sections(table):
        lines.append(markdown_row([f"*{kind}*", *[""] * len(columns)], escape=False))
        best = _best(table, kind, rows)
        for row in rows:
            name = f"{_escape(row.name)} (**{LEAK}**)" if row.leak else _escape(row.name)
            cells = [
                f"**{number(value)}**" if bold else number(value)
                for value, bold in zip(_cells(table, row), _bold(table, row, best), strict=True)
            ]
            lines.append(markdown_row([name, *cells], escape=False))
    notes = [f"- {_escape(line)}" for line in _notes(table)]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def to_csv(table: Table) -> str:
    """One line a row: name, kind, leak (true or false), note, the classes, mean. Full precision; undefined is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "kind", "leak", "note", *_columns(table)])
    for _, rows in _sections(table):
        for row in rows:
            cells = ["" if value is None else value for value in _cells(table, row)]
            writer.writerow([row.name, row.kind, str(row.leak).lower(), row.note, *cells])
    return out.getvalue()


def to_rich(table: Table) -> Group:
    """For the terminal: the same sections, divided by rules, and below them the notes over the full width."""
    shown = rich_table.Table(
        box=box.HORIZONTALS,  # without vertical lines ten classes fit into 80 columns
        padding=0,
        pad_edge=False,
    )
    shown.add_column("", overflow="fold", min_width=12)
    for name in _columns(table):
        shown.add_column(Text(name), justify="right", overflow="fold", min_width=4)
    for kind, rows in _sections(table):
        shown.add_section()
        shown.add_row(Text(kind, style="italic"))
        best = _best(table, kind, rows)
        for row in rows:
            label = Text(f"{row.name} {LEAK}", style="bold red") if row.leak else Text(row.name)
            cells = [
                Text(number(value), style="bold" if bold else "")
                for value, bold in zip(_cells(table, row), _bold(table, row, best), strict=True)
            ]
            shown.add_row(label, *cells)
    return Group(shown, *(Text(line, style="table.caption") for line in _notes(table)))


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


def markdown_row(cells: Iterable[str], escape: bool = True) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(_escape(cell) if escape else cell for cell in cells) + " |"


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _sections(table: Table) -> list[tuple[str, list[Row]]]:
    by_kind = ((kind, [row for row in table.rows if row.kind == kind]) for kind in KINDS)
    return [(kind, rows) for kind, rows in by_kind if rows]


def _columns(table: Table) -> tuple[str, ...]:
    return (*table.classes, "mean") if table.averaged else table.classes


def _cells(table: Table, row: Row) -> list[float | None]:
    values = [row.values.get(name) for name in table.classes]
    return [*values, row.mean] if table.averaged else values


def _best(table: Table, kind: str, rows: list[Row]) -> list[float | None]:
    """The best value of each column, None where nothing competes: compared within one measured kind, leaks left out.

    A mean over fewer classes is no rival: what it lacks may be the hard ones.
    """
    honest = [_rivals(table, row) for row in rows if not row.leak]
    if not kind.startswith("measured") or len(honest) < 2:
        return [None] * len(_columns(table))
    columns = ([value for value in column if value is not None] for column in zip(*honest, strict=True))
    return [max(values) if len(values) > 1 else None for values in columns]


def _defined(table: Table, row: Row) -> int:
    return sum(row.values.get(name) is not None for name in table.classes)


def _rivals(table: Table, row: Row) -> list[float | None]:
    cells = _cells(table, row)
    return cells if not table.averaged or _defined(table, row) == len(table.classes) else [*cells[:-1], None]


def _bold(table: Table, row: Row, best: list[float | None]) -> list[bool]:
    if row.leak:
        return [False] * len(best)
    return [value is not None and value == top for value, top in zip(_rivals(table, row), best, strict=True)]


def _notes(table: Table) -> list[str]:
    """Notes of rows, those with the same words together or under their kind, then the table's own."""
    named: dict[tuple[str, str], list[str]] = {}
    for kind, rows in _sections(table):
        for row in rows:
            if row.mean is not None and _defined(table, row) < len(table.classes):
                reason = f"mean over {_defined(table, row)} of {len(table.classes)} {table.unit}"
                named.setdefault((kind, reason), []).append(row.name)
            if row.note:
                named.setdefault((kind, row.note), []).append(row.name)
    sizes = {kind: len(rows) for kind, rows in _sections(table)}
    notes = []
    for (kind, note), names in named.items():
        whose = kind if len(names) == sizes[kind] else f"{', '.join(names)} ({kind})"
        notes.append(f"{whose}: {note}")
    return notes + list(table.notes)


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
        wrong = [value for value in (*self.values.values(), self.mean) if value is not None and not 0 <= value <= 1]
        if wrong:
            raise ValueError(f"{self.name}: AUROC outside [0, 1]: {wrong}")


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
