"""`predict RUN IMAGES...`: a run's best detector decides on your own images."""

from typing import Annotated, NoReturn

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Plain, Quiet, Run, Storage, TrustCode

HANDED_ON = ("target", "false_alarms", "out", "maps", "normals", "defects", "strict", "storage", "trust_code", "quiet")
"""Options that a job on a cluster is given, too."""


def predict(
    context: typer.Context,
    run: Run,
    images: Annotated[list[str], typer.Argument(help="Files, folders with all below them, tar archives, or URIs.")],
    target: Annotated[
        str | None, typer.Option("--class", help="The class that counts as normal, where the run has several.")
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option("--false-alarms", help="Of fresh normal images, the fraction called anomalous; 0.01 by default."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="File (.csv, .jsonl or .parquet; predictions.csv by default), with --address a folder."),
    ] = None,
    maps: Annotated[str | None, typer.Option("--maps", help="Folder for a map and an overlay an image.")] = None,
    normals: Annotated[
        list[str] | None, typer.Option("--normals", help="Normal images, unseen by the run, that decisions rest on.")
    ] = None,
    defects: Annotated[
        list[str] | None, typer.Option("--defects", help="Labelled defects that set the threshold instead.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where an image cannot be read.")] = False,
    storage: Storage = DEFAULT_STORAGE,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of a Ray cluster, as of `launch`, or local: its workers decide on millions."),
    ] = None,
    trust_code: TrustCode = False,
    plain: Plain = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Normal or anomalous, with scores and p-values: a row an image; higher scores are more anomalous."""
    import orchestrator
    from orchestrator.cli.run import goes_to_a_cluster, interruptible
    from orchestrator.console.output import console
    from orchestrator.console.prediction_view import print_predicted
    from orchestrator.console.progress_bar import shown_images

    if goes_to_a_cluster(address):
        hand_on(context)
    shown = console(plain, quiet or as_json)
    go_on = "; finished parts are kept, the same command goes on" if address else ""
    with interruptible(f"interrupted{go_on}"), shown_images(shown) as seen:
        predicted = orchestrator.predict(
            run, *images, target=target, false_alarms=false_alarms, out=out, maps=maps, normals=normals or (),
            defects=defects or (), strict=strict, storage=storage, address=address, trust_code=trust_code, seen=seen,
        )  # fmt: skip
    print_predicted(shown, predicted, as_json=as_json)


def hand_on(context: typer.Context) -> NoReturn:
    """To a job on the cluster. Raises UserError for --json: what is shown is the job's log."""
    from orchestrator.cli.run import watch
    from orchestrator.inference.at_scale import submit_prediction
    from workloads.errors import UserError

    words = context.params
    if words["as_json"]:
        fix = "leave it out: the same lies in _summary.json of --out"
        raise UserError("what a job on a cluster says is its log, and no JSON", where="--json", fix=fix)
    watch(submit_prediction(words["run"], words["images"], words["address"], {name: words[name] for name in HANDED_ON}))
