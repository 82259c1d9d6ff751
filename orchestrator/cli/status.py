"""`status RUN`: how far a run is, from its ledger alone; `ui [RUN]`: MLflow's pages of runs."""

from dataclasses import asdict
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Run, Storage, TrackingUri
from orchestrator.cli.run import until_interrupted


def status(run: Run, storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """Show a run's state and its trials; `runs ls` shows all runs."""
    import orchestrator
    from orchestrator.console.output import console, print_json
    from orchestrator.console.result_view import print_status, run_summary

    opened = orchestrator.open_run(run, storage)
    if as_json:
        trials = {trial.id: asdict(trial) for trial in opened.state.trials.values()}
        print_json({"run": opened.name, **run_summary(opened.state, opened.outcome), "trials": trials})
    else:
        print_status(console(), opened)


def ui(
    run: Annotated[
        str | None, typer.Argument(help="Name of a run, whose pages are listed; the newest by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port on this machine; by default 5000 or another free one.", min=1, max=65535)
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Open MLflow's pages, for this machine alone, and print the links that matter; Ctrl-C closes them.

    Where the runs are on a server, its links are printed, and nothing is started.
    """
    from orchestrator.console.output import console, print_json
    from orchestrator.console.runs_view import print_pages
    from orchestrator.record.tracking.ui import served

    with until_interrupted(), served(storage, run, tracking_uri, port) as pages:
        if as_json:
            print_json({"address": pages.address, "runs": [asdict(item) for item in pages.runs]}, lines=True)
        else:
            print_pages(console(), pages)
        pages.wait()
