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
    import orchestrator
    from orchestrator.console.output import console
    from orchestrator.console.result_view import print_status, run_summary, trials_table, varying_axes

    runs = orchestrator.runs(storage) if run is None else [orchestrator.open_run(run, storage)]
    state = None if run is None else runs[0].state
    if as_json:
        summaries = {opened.name: run_summary(opened.state, opened.outcome) for opened in runs}
        shown = summaries if state is None else {trial.id: asdict(trial) for trial in state.trials.values()}
        typer.echo(json.dumps(shown, indent=1))
        return
    print_status(console(), runs, storage)
    if state is not None:
        console().print(trials_table(state, varying_axes(state), {}, len(state.trials), console().width))
