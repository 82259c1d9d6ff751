"""What `launch` and `resume` share: plan or run a request, show it, and end with its exit code."""

import sys

import typer

from orchestrator.cli.exit_codes import OF_OUTCOMES, Exit
from orchestrator.clusters.session import heed_signals
from orchestrator.console.output import console, say
from orchestrator.console.plan_view import plan_table
from orchestrator.execution.from_request import plan_of
from orchestrator.planning.request import Request


def run(request: Request, *, plain: bool, dry_run: bool) -> None:
    """End the process with the run's exit code."""
    out = console(plain)
    if dry_run:
        out.print(plan_table(plan_of(request), request))
        return
    from orchestrator.console.result_view import print_result
    from orchestrator.console.terminal import Terminal
    from orchestrator.execution.launch import launch

    heed_signals()
    try:
        finished = launch(request, Terminal(out))
    except KeyboardInterrupt:  # before the run was open
        sys.exit(Exit.INTERRUPTED)
    if finished.results is None:
        say(out, f"\ninterrupted; nothing finished is lost. Resume: {finished.resume}")
    else:
        print_result(out, finished, finished.results)
    raise typer.Exit(OF_OUTCOMES[finished.outcome])
