"""`predict RUN IMAGES...`: a run's best detector decides on your own images."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Plain, Run, Storage, TrustCode


def predict(
    run: Run,
    images: Annotated[list[str], typer.Argument(help="Files, folders with all below them, tar archives, or URIs.")],
    target: Annotated[
        str | None, typer.Option("--class", help="The class that counts as normal, where the run has several.")
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option("--false-alarms", help="Of fresh normal images, the fraction called anomalous; 0.01 by default."),
    ] = None,
    out: Annotated[str, typer.Option("--out", help="File to write; .csv, .jsonl or .parquet.")] = "predictions.csv",
    maps: Annotated[str | None, typer.Option("--maps", help="Folder for a map and an overlay an image.")] = None,
    normals: Annotated[
        list[str] | None, typer.Option("--normals", help="Normal images, unseen by the run, that decisions rest on.")
    ] = None,
    defects: Annotated[
        list[str] | None, typer.Option("--defects", help="Labelled defects that set the threshold instead.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where an image cannot be read.")] = False,
    storage: Storage = DEFAULT_STORAGE,
    trust_code: TrustCode = False,
    plain: Plain = False,
) -> None:
    """Normal or anomalous, with scores and p-values: a row an image; higher scores are more anomalous."""
    import orchestrator
    from orchestrator.console.output import console
    from orchestrator.console.prediction_view import print_predicted
    from orchestrator.console.progress_bar import shown_images

    shown = console(plain)
    with shown_images(shown) as seen:
        predicted = orchestrator.predict(
            run, *images, target=target, false_alarms=false_alarms, out=out, maps=maps, normals=normals or (),
            defects=defects or (), strict=strict, storage=storage, trust_code=trust_code, seen=seen,
        )  # fmt: skip
    print_predicted(shown, predicted)
