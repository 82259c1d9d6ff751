"""`compare RUN RUN ...`: winners side by side, and how alike they rank the same images."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Storage


def compare(
    runs: Annotated[list[str], typer.Argument(help="Finished runs of one storage.")],
    part: Annotated[
        str, typer.Option(help="Whose scores are correlated: `all`, or a part such as likelihood or level_8.")
    ] = "all",
    out: Annotated[Path | None, typer.Option("--out", help="A folder for CSV files and a PNG.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """AUROC of the runs' winners in one table, and the rank correlation of their scores of shared images."""
    from orchestrator.console.output import console, print_json
    from orchestrator.console.result_view import comparison_facts, print_comparison
    from orchestrator.results.comparison import compare as compare_runs

    comparison = compare_runs(storage, runs, part, out)
    if as_json:
        print_json(comparison_facts(comparison))
    else:
        print_comparison(console(), comparison, part)
