"""`score RUN --class NAME --images DIR`: a run's best detector on your own images."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Run, Storage

MOST_COLUMNS = 7
"""Scores that stand beside an image's name on a usual terminal; flows have more."""


def score(
    run: Run,
    images: Annotated[Path, typer.Option("--images", help="A folder; every image below it is scored.")],
    target: Annotated[
        str, typer.Option("--class", help="The class that counts as normal; the dataset where it is normal as a whole.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")] = Path("scores.parquet"),
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Score images with the best detector of a run; higher = more anomalous."""
    import pyarrow.parquet as pq
    from rich.table import Table

    from orchestrator.console.output import console, say
    from orchestrator.inference.images import score_folder
    from orchestrator.planning.request import absolute
    from orchestrator.record.runs import open_run

    out.parent.mkdir(parents=True, exist_ok=True)
    paths, state = open_run(absolute(storage), run)
    scores, skipped = score_folder(paths, state, target, images)
    pq.write_table(scores, out)
    screen, names = console(), scores.column_names[1:]
    fitting = names if len(names) <= MOST_COLUMNS else names[:1]
    shown = Table("most anomalous first", *fitting, box=None, header_style="bold")
    for row in scores.slice(0, 10).to_pylist():
        shown.add_row(row["image"], *[f"{row[name]:.4f}" for name in fitting])
    screen.print(shown)
    if fitting != names:
        say(screen, f"the file has more columns: {', '.join(names[1:])}")
    for line in skipped:
        say(screen, f"skipped {line}")
    say(screen, f"{len(scores)} images scored, {len(skipped)} skipped; all in {out}")
