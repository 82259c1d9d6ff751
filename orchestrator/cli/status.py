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
    from orchestrator.console.output import console, say
    from orchestrator.console.result_view import run_summary, trials_table
    from orchestrator.planning.request import absolute
    from orchestrator.record.heartbeat import life_of
    from orchestrator.record.runs import names, open_run, resume_command

    out, root = console(), absolute(storage)
    runs = {name: open_run(root, name) for name in (names(root) if run is None else [run])}
    summaries = {name: run_summary(state, life_of(paths, state)) for name, (paths, state) in runs.items()}
    if as_json:
        shown = summaries if run is None else {t.id: asdict(t) for t in runs[run][1].trials.values()}
        typer.echo(json.dumps(shown, indent=1))
        return
    for name, summary in summaries.items():
        dead = f"; resume it: {resume_command(name, root)}" if summary["outcome"] == "dead" else ""
        say(out, f"{name}  {', '.join(f'{key} {value}' for key, value in summary.items())}{dead}")
    if not runs:
        say(out, f"no runs in {root}")
    if run is None:
        return
    state = runs[run][1]
    out.print(trials_table(state, list(state.space.axes), {}, len(state.trials)))
