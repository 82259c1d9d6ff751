"""`compare RUN RUN ...`: winners side by side, and how alike they rank the same images."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Storage


def compare(
    runs: Annotated[list[str], typer.Argument(help="Finished runs of one storage.")],
    part: Annotated[
        str, typer.Option(help="Whose scores are correlated: `all`, or a part such as likelihood or level_8.")
    ] = "all",
    out: Annotated[Path | None, typer.Option("--out", help="A folder for CSV files and a PNG.")] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """AUROC of the runs' winners in one table, and the rank correlation of their scores of shared images."""
    from rich.table import Table

    from orchestrator.console.output import console, say
    from orchestrator.planning.request import absolute
    from orchestrator.results.comparison import compare as compare_runs
    from orchestrator.results.comparison import write
    from orchestrator.results.report.tables import to_rich

    comparison, screen = compare_runs(absolute(storage), runs, part), console()
    screen.print(to_rich(comparison.table))
    names = [model.name for model in comparison.models]
    shown = Table(f"rank correlation of {part}", *names, box=None, header_style="bold")
    for name, row, shared in zip(names, comparison.correlations, comparison.shared, strict=True):
        cells = [
            f"{rho:.3f} ({count})" if rho == rho else f"- ({count})" for rho, count in zip(row, shared, strict=True)
        ]
        shown.add_row(name, *cells)
    screen.print(shown)
    say(screen, "Spearman's rho over images that both have scored; in brackets how many")
    for note in comparison.notes:
        say(screen, note)
    for path in write(comparison, out, part) if out else []:
        say(screen, str(path))
