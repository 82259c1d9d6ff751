"""`logs RUN --address A [--follow]` and `stop RUN --address A`: coming back to a run that goes on on a cluster."""

from typing import Annotated

import typer

from orchestrator.cli.run import watch

OnCluster = Annotated[str, typer.Option("--address", help="The cluster: http://head:8265 or ray://head:10001.")]
RunOrJob = Annotated[str, typer.Argument(help="Name of a run, or of a job that `cluster status` lists.")]


def logs(
    run: RunOrJob,
    address: OnCluster,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the run ends; Ctrl-C lets it go on.")] = False,
) -> None:
    """What a run on a cluster has printed so far; with --follow, exit as the run does."""
    from orchestrator.clusters.submission import find_job

    job = find_job(run, address)
    if follow:
        watch(job)
    typer.echo(job.logs(), nl=False)


def stop(run: RunOrJob, address: OnCluster) -> None:
    """End a run on a cluster politely: its launcher closes its books, and `resume` or `launch` goes on later."""
    from orchestrator.clusters.submission import find_job

    job = find_job(run, address)
    typer.echo(f"{job.id} is asked to stop, and closes its books")
    if job.stop():
        typer.echo("stopped; launching or resuming the run goes on where it was")
    else:
        typer.echo(f"{job.id} had ended already")
