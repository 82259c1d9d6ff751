"""`status RUN`: how far a run is, from its ledger alone."""

from dataclasses import asdict

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Run, Storage


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
