"""`report RUN`: write a run's report again from its score files."""

from orchestrator.cli.options import DEFAULT_STORAGE, Run, Storage


def report(run: Run, storage: Storage = DEFAULT_STORAGE) -> None:
    """Write the report of a run again and print its table."""
    from orchestrator.ledger import read_events
    from orchestrator.places import absolute
    from orchestrator.report.tables import to_rich
    from orchestrator.results import conclude
    from orchestrator.runs import open_run
    from orchestrator.view import console

    places, state = open_run(absolute(storage), run)
    measured = [e["auroc"] for e in read_events(places.ledger) if e["event"] == "baselines"]
    results = conclude(places, state, measured[-1] if measured else {})
    out = console()
    out.print(to_rich(results.table))
    out.print(f"report  {results.report}")
