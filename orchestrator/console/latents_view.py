"""Scores of groups of latents, and the choice among ways to score them, as tables."""

from collections.abc import Sequence

from rich.table import Table

from orchestrator.console.output import console, say
from orchestrator.results.report.tables import number, ranged
from workloads.klods.calibration import Candidate
from workloads.klods.latent_files import Cell


def print_scores(cells: Sequence[Cell], notes: Sequence[str]) -> None:
    """AUROC by score and group size, a table an out set."""
    out = console()
    for name in dict.fromkeys(cell.out for cell in cells):
        out.print(scores_table(name, [cell for cell in cells if cell.out == name]))
    for line in notes:
        say(out, line)


def scores_table(name: str, cells: Sequence[Cell]) -> Table:
    """AUROC against one out set, with 95 % intervals."""
    sizes = list(dict.fromkeys(cell.size for cell in cells))
    shown = Table(f"against {name}", *(f"groups of {size}" for size in sizes), box=None, header_style="bold")
    for part in dict.fromkeys(cell.part for cell in cells):
        shown.add_row(part, *(ranged(cell.area, cell.interval) for cell in cells if cell.part == part))
    return shown


def print_candidates(
    candidates: Sequence[Candidate], skipped: Sequence[str], chosen: Candidate, by: str, size: int, *, oracle: bool
) -> None:
    """A row a way to score groups of `size`, the chosen one marked, and the options that give it."""
    out, shown = console(), Table("", "split", "level", "regulariser", "score", "false positives", "shift")
    shown.box, shown.header_style = None, "bold"
    if oracle:
        shown.add_column("oracle (LEAK)")
    for candidate in candidates:
        numbers = [candidate.false_positives, candidate.shift, *([candidate.oracle] if oracle else [])]
        setting = (candidate.split, candidate.level, candidate.regulariser, candidate.to)
        shown.add_row("*" if candidate is chosen else "", *setting, *map(number, numbers))
    out.print(shown)
    for line in skipped:
        say(out, f"not possible: {line}")
    leak = ", which looks at anomalies: a LEAK" if by == "oracle" else ", no anomaly seen"
    options = f"--split {chosen.split} --level {chosen.level} --regulariser {chosen.regulariser}"
    say(out, f"chosen by {by}{leak}: {options}, score {chosen.to}, groups of {size}")
