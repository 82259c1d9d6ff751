"""`report RUN`: write a run's report again from its score files."""

from orchestrator.cli.options import DEFAULT_STORAGE, Run, Storage


def report(run: Run, storage: Storage = DEFAULT_STORAGE) -> None:
    """Write the report of a run again and print its table."""
    from orchestrator.console.output import console
    from orchestrator.console.result_view import print_report
    from orchestrator.results.run import write_report

    print_report(console(), write_report(run, storage))
