"""What `launch` and `resume` share: plan or run a request, and turn errors into messages and exit codes."""

import sys

import typer

from orchestrator.cluster import heed_signals
from orchestrator.failures import Exit, usage_errors
from orchestrator.launch import Request, launch, plan_of, show_plan
from orchestrator.view import console


def run(request: Request, *, dry_run: bool) -> None:
    """Ends the process with the run's exit code."""
    out = console(request.plain)
    if dry_run:
        show_plan(out, request, plan_of(request))
        return
    heed_signals()
    try:
        with usage_errors():
            code = launch(request, out)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    raise typer.Exit(code)
