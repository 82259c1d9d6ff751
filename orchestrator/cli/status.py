"""`status [RUN]`: how far runs are, from their ledgers alone."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Storage


def status(
    run: Annotated[str | None, typer.Argument(help="Name of a run; all runs where absent.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the runs of a storage, or one run's trials."""
    from orchestrator.console.view import console, run_summary, say, trials_table
    from orchestrator.record.paths import absolute
    from orchestrator.record.runs import names, open_run

    out, root = console(), absolute(storage)
    if run is None:
        found = {name: run_summary(open_run(root, name)[1]) for name in names(root)}
        if as_json:
            typer.echo(json.dumps(found, indent=1))
            return
        for name, summary in found.items():
            say(out, f"{name}  {', '.join(f'{k} {v}' for k, v in summary.items())}")
        if not found:
            say(out, f"no runs in {root}")
        return
    _, state = open_run(root, run)
    if as_json:
        typer.echo(json.dumps({t.id: asdict(t) for t in state.trials.values()}, indent=1, default=str))
        return
    say(out, f"{run}  {', '.join(f'{k} {v}' for k, v in run_summary(state).items())}")
    out.print(trials_table(state, list(state.space.axes), {}, len(state.trials)))
