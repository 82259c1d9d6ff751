"""`analyse RUN [NAME ...]`: a closer look at a run's best detectors."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Cpus, Debug, Executor, Plain, Run, Storage, TrackingUri
from orchestrator.cli.run import interruptible


def analyse(
    run: Run,
    names: Annotated[list[str] | None, typer.Argument(help="Which; without any, those there are are listed.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    cpus: Cpus = None,
    executor: Executor = "ray",
    plain: Plain = False,
    debug: Debug = False,  # noqa: ARG001 - read by main
) -> None:
    """Analyse the winner of a run; numbers and pictures join its report."""
    import orchestrator
    from orchestrator.console.output import console, say
    from orchestrator.console.terminal import Terminal
    from orchestrator.record.provenance import from_here

    opened, out = orchestrator.open_run(run, storage), console(plain)
    if not names:
        for name, title in opened.analyses.items():
            say(out, f"{name:12} {title}")
        if not opened.analyses:
            say(out, f"the method {opened.state.space.workload} has no analyses")
        return
    with interruptible("interrupted; what was finished is kept, the same command goes on"):
        orchestrator.analyse(
            opened, *names, executor=executor, tracking_uri=tracking_uri, cpus=cpus, observer=Terminal(out)
        )
    for warning in opened.warnings:
        say(out, f"warning: {warning}")
    say(out, f"report  {from_here(str(opened.report))}")
