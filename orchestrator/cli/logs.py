"""`logs RUN --address A [--follow]` and `stop RUN --address A`: coming back to a run that goes on on a cluster."""

import sys
from typing import Annotated

import typer

OnCluster = Annotated[str, typer.Option("--address", help="The cluster: http://head:8265 or ray://head:10001.")]
RunOrJob = Annotated[str, typer.Argument(help="Name of a run, or of a job that `cluster status` lists.")]


def logs(
    run: RunOrJob,
    address: OnCluster,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the run ends; Ctrl-C lets it go on.")] = False,
) -> None:
    """What a run on a cluster has printed so far; with --follow, exit as the run does."""
    from orchestrator.clusters.connection import connect
    from orchestrator.clusters.jobs import job_of

    client = connect(address)
    job = job_of(client, run)
    if follow:
        from orchestrator.cli.remote import watch

        watch(client, job, run, address)
    sys.stdout.write(client.get_job_logs(job))


def stop(run: RunOrJob, address: OnCluster) -> None:
    """End a run on a cluster politely: its launcher closes its books, and `resume` or `launch` goes on later."""
    from orchestrator.clusters.connection import connect
    from orchestrator.clusters.jobs import ENDED, halt, job_of

    client = connect(address)
    job = job_of(client, run)
    if client.get_job_status(job) in ENDED:
        typer.echo(f"{job} has ended already")
        return
    typer.echo(f"{job} is told to stop, and closes its books")
    halt(client, job)
    typer.echo("stopped; launching or resuming the run goes on where it was")
