"""`report RUN`: write a run's report again from its score files; of several runs, a page that compares them."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Storage


def report(
    runs: Annotated[list[str], typer.Argument(help="A run, or several to be compared on one page.")],
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Write the report of a run again and print its table; of several runs, a page of what `compare` prints."""
    from orchestrator.console.output import console, print_json, say
    from orchestrator.console.result_view import comparison_facts, print_comparison, print_report, results_facts

    out = console(quiet=as_json)
    if len(runs) == 1:
        from orchestrator.results.run import write_report

        results = write_report(runs[0], storage)
        print_report(out, results)
        if as_json:
            print_json(results_facts(results))
        return
    from orchestrator.results.report.compared import write_comparison
    from workloads.scoring.table import WHOLE

    comparison, page = write_comparison(storage, runs)
    print_comparison(out, comparison, WHOLE)
    say(out, f"report  {page}")
    if as_json:
        print_json({**comparison_facts(comparison), "report": page})
