"""`logs RUN` and `stop RUN`: coming back to a run that goes on, on this machine or, by `--address`, on a cluster."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Storage
from orchestrator.cli.run import watch

OnCluster = Annotated[
    str | None,
    typer.Option("--address", help="The cluster that it goes on on: http://head:8265 or ray://head:10001."),
]
RunOrJob = Annotated[str, typer.Argument(help="Name of a run, or of a job that `cluster status` lists.")]


def logs(
    run: RunOrJob,
    address: OnCluster = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the run ends; Ctrl-C lets it go on.")] = False,
    last: Annotated[int, typer.Option(help="Lines of a run on this machine; 0 for all.", min=0)] = 20,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """What a run has done so far, and where Ray's logs are; of one on a cluster, what it has printed.

    With --follow a run on a cluster ends the verb with its own exit code.
    """
    if address is None:
        local_logs(run, storage, last, follow)
        return
    from orchestrator.clusters.submission import find_job

    job = find_job(run, address)
    if follow:
        watch(job)
    typer.echo(job.logs(), nl=False)


def local_logs(run: str, storage: str, last: int, follow: bool) -> None:
    """Lines of the ledger, a few words each."""
    from orchestrator.cli.run import interruptible
    from orchestrator.console.output import console
    from orchestrator.console.runs_view import print_log
    from orchestrator.record.launcher import open_log

    with interruptible("the run goes on"):
        print_log(console(), open_log(storage, run), last, follow)


def stop(run: RunOrJob, address: OnCluster = None, storage: Storage = DEFAULT_STORAGE) -> None:
    """End a run politely: its launcher closes its books, and `resume` or `launch` goes on later."""
    if address is None:
        from orchestrator.record.launcher import stop_launcher

        pid = stop_launcher(storage, run)
        typer.echo(f"stopped process {pid}; launching or resuming the run goes on where it was")
        return
    from orchestrator.clusters.submission import find_job

    job = find_job(run, address)
    typer.echo(f"{job.id} is asked to stop, and closes its books")
    if job.stop():
        typer.echo("stopped; launching or resuming the run goes on where it was")
    else:
        typer.echo(f"{job.id} had ended already")
