"""Tables of AUROC for a terminal of any width: the method and its mean come first, classes stand in blocks below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich import table as rich_table
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from orchestrator.results.report.tables import WIDEST, all_notes, sections, shown_cells
from orchestrator.results.tables import LEAK, Row, Table

HEADING = 8
"""Characters of a class's name in a line; longer ones are folded."""
LOWEST = 5
"""Of more classes than anyone can read across, those that stand here; the report has them all."""


@dataclass(frozen=True)
class AurocTable:
    """Sections by kind, divided by rules, and below them the notes over the full width."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width, table = options.max_width, self.table
        lead = ("mean",) if table.averaged else ()
        classes, notes = shown_classes(table)
        names = [f"{row.name} {LEAK}" if row.leak else row.name for row in table.rows]
        longest = max(map(len, [*names, *(row.kind for row in table.rows)]), default=1)
        label = min(longest, max(12, width * 5 // 12))
        for number, block in enumerate(blocks_of([*lead, *classes], width - label)):
            yield from [""] * (number > 0)
            yield self.lines(block, label, with_kinds=number == 0)
        yield from (Text(line, style="table.caption") for line in (*notes, *all_notes(table)))

    def lines(self, columns: Sequence[str], label: int, *, with_kinds: bool) -> rich_table.Table:
        """A block: every row with some of the columns. label: characters for its name."""
        table = self.table
        lines = rich_table.Table(box=box.HORIZONTALS, padding=0, pad_edge=False, show_edge=False)
        lines.add_column("", overflow="fold", width=label)
        for name in columns:
            lines.add_column(Text(name), justify="right", overflow="fold", width=heading_width(name))
        for kind, section in sections(table):
            lines.add_section()
            if with_kinds:
                lines.add_row(Text(kind, style="italic"))
            for row, cells in shown_cells(table, section):
                by_column = dict(zip(table.columns, cells, strict=True))
                shown = (by_column[name] for name in columns)
                numbers = (Text(text, style="bold" if best else "") for text, best in shown)
                lines.add_row(label_of(row), *numbers)
        return lines


def label_of(row: Row) -> Text:
    return Text(f"{row.name} {LEAK}", style="bold red") if row.leak else Text(row.name)


def heading_width(name: str) -> int:
    """Characters of a column: an AUROC with its mark, and the longest word of its name, folded where it is too long."""
    return min(HEADING, max(5, *map(len, name.split() or [""])))


def shown_classes(table: Table) -> tuple[Sequence[str], Sequence[str]]:
    """The classes with a column here, and a sentence about the others: of very many only the lowest of the first row
    are shown."""
    if len(table.classes) <= WIDEST:
        return table.classes, ()
    values = table.rows[0].values if table.rows else {}
    known = sorted((value, name) for name, value in values.items() if value is not None)
    count = len(table.classes)
    return [name for _, name in known[:LOWEST]], [f"the lowest of {count} {table.unit}; the report has them all"]


def blocks_of(columns: Sequence[str], width: int) -> Iterator[Sequence[str]]:
    """Columns in blocks that fit into `width` characters; at least a column a block, and a block."""
    block: list[str] = []
    for name in columns:
        if block and sum(heading_width(known) + 1 for known in [*block, name]) > width:
            yield block
            block = []
        block.append(name)
    yield block
