"""`doctor`: what here could break a launch, with a fix for each finding."""

import sys
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_DATA, DEFAULT_STORAGE, DataDir, Json, Storage, TrackingUri, sources_of

Spaces = Annotated[list[str] | None, typer.Argument(help="Spaces whose images are to be read, by name or file.")]
WithRay = Annotated[bool, typer.Option("--ray", help="Start Ray as a launch does, and end it again.")]


def doctor(
    context: typer.Context,
    spaces: Spaces = None,
    ray: WithRay = False,
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = DEFAULT_DATA,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Check versions, memory, disk, ports, GPUs, storage, MLflow and data; exit 3 where a launch would fail."""
    from orchestrator.cli.exit_codes import Exit
    from orchestrator.console.folder_view import print_checks
    from orchestrator.console.output import console, print_json
    from orchestrator.execution.doctor import examined

    checks, sources = examined(storage, data_dir, tracking_uri, spaces or (), ray), sources_of(context)
    if as_json:
        print_json({"checks": checks, "from": sources})
    else:
        print_checks(console(), checks, {key: f"{item.value}, from {item.by}" for key, item in sources.items()})
    if any(check.outcome == "fail" for check in checks):
        sys.exit(Exit.ENVIRONMENT)
