"""`analyse RUN [NAME ...]`: a closer look at a run's best detectors."""

from typing import Annotated

import typer

from orchestrator.cli.options import (
    DEFAULT_STORAGE,
    Cpus,
    Debug,
    Executor,
    Json,
    Plain,
    Quiet,
    Run,
    Storage,
    TrackingUri,
)
from orchestrator.cli.run import interruptible


def analyse(
    run: Run,
    names: Annotated[list[str] | None, typer.Argument(help="Which; without any, those there are are listed.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    cpus: Cpus = None,
    executor: Executor = "ray",
    plain: Plain = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,  # noqa: ARG001 - read by main
) -> None:
    """Analyse the winner of a run; numbers and pictures join its report."""
    import orchestrator
    from orchestrator.console.output import console, print_json
    from orchestrator.console.result_view import print_analyses, print_findings
    from orchestrator.console.terminal import Terminal

    out = console(plain, quiet or as_json)
    if not names:
        opened = orchestrator.open_run(run, storage)
        print_analyses(out, opened)
        if as_json:
            print_json({"run": opened.name, "analyses": opened.analyses})
        return
    with interruptible("interrupted; what was finished is kept, the same command goes on"):
        opened = orchestrator.analyse(
            run, *names, storage=storage, executor=executor, tracking_uri=tracking_uri, cpus=cpus,
            observer=Terminal(out),
        )  # fmt: skip
    print_findings(out, opened)
    if as_json:
        print_json({"run": opened.name, "warnings": opened.warnings, "report": opened.report})
