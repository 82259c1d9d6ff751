"""`score RUN --class NAME --images DIR`: a run's best detector on your own images."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Run, Storage


def score(
    run: Run,
    images: Annotated[Path, typer.Option("--images", help="A folder; every image below it is scored.")],
    target: Annotated[
        str, typer.Option("--class", help="The class that counts as normal; the dataset where it is normal as a whole.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")] = Path("scores.parquet"),
    storage: Storage = DEFAULT_STORAGE,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the code of a method from outside the tree that lies in the run.")
    ] = False,
) -> None:
    """Score images with the best detector of a run; higher = more anomalous."""
    import pyarrow.parquet as pq

    import orchestrator
    from orchestrator.console.result_view import print_scores
    from orchestrator.inference.images import score_folder

    out.parent.mkdir(parents=True, exist_ok=True)
    scores, skipped = score_folder(orchestrator.load(run, target, storage=storage, trust_code=trust_code), images)
    pq.write_table(scores, out)
    print_scores(scores, skipped, out)
