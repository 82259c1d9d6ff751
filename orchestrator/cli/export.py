"""`export RUN --to KIND FOLDER`: a run's best detector out of the run."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Run, Storage, TrackingUri, TrustCode


def export(
    run: Run,
    folder: Annotated[Path, typer.Argument(help="A new folder, for the model and its card.")],
    to: Annotated[str, typer.Option("--to", help="mlflow, torch (torch.export) or onnx.")],
    target: Annotated[
        str | None, typer.Option("--class", help="The class that counts as normal, where the run has several.")
    ] = None,
    register: Annotated[
        str | None, typer.Option("--register", help="Name in MLflow's registry, of which it is the next version.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Write a detector as an MLflow model, a torch.export program or an ONNX graph, with a model card."""
    import orchestrator
    from orchestrator.console.output import console, print_json, say

    out = console(quiet=as_json)
    lines = orchestrator.export(
        run, to, folder, target=target, register=register, storage=storage, tracking_uri=tracking_uri,
        trust_code=trust_code,
    )  # fmt: skip
    for line in lines:
        say(out, line)
    if as_json:
        print_json({"folder": folder, "remarks": lines})
