"""`report RUN`: write a run's report again from its score files."""

from orchestrator.cli.options import DEFAULT_STORAGE, Run, Storage


def report(run: Run, storage: Storage = DEFAULT_STORAGE) -> None:
    """Write the report of a run again and print its table."""
    from orchestrator.console.output import console, say
    from orchestrator.planning.request import absolute
    from orchestrator.record.runs import open_run
    from orchestrator.results.report.tables import to_rich
    from orchestrator.results.run import conclude

    paths, state = open_run(absolute(storage), run)
    results = conclude(paths, state)
    out = console()
    out.print(to_rich(results.table))
    say(out, f"report  {results.report}")
