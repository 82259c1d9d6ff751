"""`analyse RUN [NAME ...]`: a closer look at a run's best detectors."""

import sys
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Cpus, Debug, Plain, Run, Storage, TrackingUri, all_cpus


def analyse(
    run: Run,
    names: Annotated[list[str] | None, typer.Argument(help="Which; without any, those there are are listed.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    cpus: Cpus = None,
    plain: Plain = False,
    debug: Debug = False,  # noqa: ARG001 - read by main
) -> None:
    """Analyse the winner of a run; numbers and pictures join its report."""
    from orchestrator.cli.exit_codes import Exit
    from orchestrator.console.view import console, say
    from orchestrator.record.paths import absolute
    from orchestrator.record.runs import open_run, tracking_of
    from workloads.errors import UserError, nearest
    from workloads.registry import method

    places, state = open_run(absolute(storage), run)
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
    from orchestrator.execution.launch import analyse_run

    heed_signals()
    try:
        analyse_run(places, names, tracking_of(state, tracking_uri), cpus or all_cpus(), out)
    except KeyboardInterrupt:
        say(out, "interrupted; what was finished is kept, the same command goes on")
        sys.exit(Exit.INTERRUPTED)
