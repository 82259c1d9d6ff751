"""`report RUN`: write a run's report again from its score files; of several runs, a page that compares them."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Storage


def report(
    runs: Annotated[list[str], typer.Argument(help="A run, or several to be compared on one page.")],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write the report of a run again and print its table; of several runs, a page of what `compare` prints."""
    from orchestrator.console.output import console, say
    from orchestrator.console.result_view import print_comparison, print_report

    out = console()
    if len(runs) == 1:
        from orchestrator.results.run import write_report

        print_report(out, write_report(runs[0], storage))
        return
    from orchestrator.results.report.compared import write_comparison
    from workloads.scoring.table import WHOLE

    comparison, page = write_comparison(storage, runs)
    print_comparison(out, comparison, WHOLE)
    say(out, f"report  {page}")
