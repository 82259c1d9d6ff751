"""What `launch` and `resume` share: plan or run a request, and end with its exit code."""

import sys

import typer

from orchestrator.cli.exit_codes import OF_OUTCOMES, Exit
from orchestrator.clusters.session import heed_signals
from orchestrator.console.view import console
from orchestrator.execution.launch import Request, launch, plan_of, show_plan


def run(request: Request, *, dry_run: bool) -> None:
    """Ends the process with the run's exit code."""
    out = console(request.plain)
    if dry_run:
        show_plan(out, request, plan_of(request))
        return
    heed_signals()
    try:
        outcome = launch(request, out)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    raise typer.Exit(OF_OUTCOMES[outcome])
