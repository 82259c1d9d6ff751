"""`analyse RUN [NAME ...]`: a closer look at a run's best detectors."""

import sys
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Cpus, Debug, Executor, Plain, Run, Storage, TrackingUri, all_cpus


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
    from orchestrator.cli.exit_codes import Exit
    from orchestrator.console.output import console, say
    from orchestrator.planning.request import absolute, check_executor
    from orchestrator.record.provenance import from_here
    from orchestrator.record.runs import open_run, tracking_of
    from workloads.errors import UserError, nearest
    from workloads.registry import method

    paths, state = open_run(absolute(storage), run)
    known = method(state.space.workload).analyses
    out = console(plain)
    if not names:
        for name, analysis in known.items():
            say(out, f"{name:12} {analysis.title}")
        return
    unknown = [f"no analysis {name!r}; {nearest(name, known)}" for name in names if name not in known]
    if unknown:
        raise UserError("unknown analysis", details="\n".join(unknown))
    from orchestrator.clusters.session import heed_signals
    from orchestrator.console.terminal import Terminal
    from orchestrator.execution.analyse import analyse as analyse_run
    from orchestrator.execution.launch import executor_named

    check_executor(executor)
    heed_signals()
    uri, where = tracking_of(state, tracking_uri), executor_named(executor, cpus or all_cpus())
    try:
        results = analyse_run(paths, names, uri, where, Terminal(out))
    except KeyboardInterrupt:
        say(out, "interrupted; what was finished is kept, the same command goes on")
        sys.exit(Exit.INTERRUPTED)
    for warning in results.warnings:
        say(out, f"warning: {warning}")
    say(out, f"report  {from_here(str(results.report))}")
