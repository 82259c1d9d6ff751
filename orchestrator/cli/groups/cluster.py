"""`cluster render|validate|launch|status|stop`: files for `ray up` and KubeRay, from values to running and gone."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Address, Json

app = typer.Typer(help="Make, check, start, watch and stop clusters.", no_args_is_help=True)
File = Annotated[
    Path, typer.Argument(help="A file for `ray up`, or of Kubernetes resources.", exists=True, dir_okay=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the command and stop.")]
RayVersion = Annotated[
    str | None, typer.Option("--ray-version", help="Ray of the cluster; the installed one if absent.")
]


@app.command("render")
def render(
    context: typer.Context,
    provider: Annotated[
        str, typer.Argument(help="aws, gcp, onprem, local, kuberay-raycluster, kuberay-rayjob, mlflow")
    ],
    name: Annotated[str | None, typer.Option(help="Of the cluster and what belongs to it.")] = None,
    gpu: Annotated[str | None, typer.Option(help="Such as L4, A100 or H100.")] = None,
    min_workers: Annotated[int | None, typer.Option(help="GPU workers that are always there.")] = None,
    max_workers: Annotated[int | None, typer.Option(help="GPU workers when all are there.")] = None,
    storage: Annotated[str | None, typer.Option(help="Where every node reads and writes the runs.")] = None,
    image: Annotated[str | None, typer.Option(help="Its tag must name its Ray: ray2.60.0-cuda.")] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow's address, seen from the cluster.")] = None,
    artifacts: Annotated[str | None, typer.Option(help="Bucket of the MLflow server.")] = None,
    region: Annotated[str | None, typer.Option()] = None,
    zone: Annotated[str | None, typer.Option()] = None,
    project: Annotated[str | None, typer.Option(help="Of Google Cloud.")] = None,
    head_ip: Annotated[str | None, typer.Option(help="Of machines of your own.")] = None,
    worker_ips: Annotated[list[str], typer.Option("--worker-ip", help="May be repeated.")] = [],  # noqa: B006
    ssh_user: Annotated[str | None, typer.Option()] = None,
    space: Annotated[str | None, typer.Option(help="What a RayJob launches.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A new file; printed where absent.")] = None,
) -> None:
    """Print a cluster file made from a few values; what they leave open is worth editing by hand."""
    from orchestrator.clusters.files.render import file_of
    from workloads.errors import UserError

    values = {
        key: value
        for key, value in context.params.items()
        if key not in ("provider", "out") and value not in (None, [], ())
    }
    text = file_of(provider, values)
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.exists():
        raise UserError(f"{out} exists already", fix="choose another name")
    out.write_text(text)
    typer.echo(f"python -m orchestrator cluster validate {out}")


@app.command("validate")
def validate(
    files: Annotated[list[Path], typer.Argument(help="Cluster files.")],
    ray_version: RayVersion = None,
    crds: Annotated[Path | None, typer.Option(help="A folder of CRDs, such as KubeRay's, to check by, too.")] = None,
) -> None:
    """Check cluster files without a network: exit 0, or 2 with every error of every file and where it is."""
    from orchestrator.clusters.files.validate import check

    check(files, ray_version, crds)
    for file in files:
        typer.echo(f"{file}: good")


@app.command("launch")
def launch(file: File, dry_run: DryRun = False, ray_version: RayVersion = None) -> None:
    """Check a file, then bring the cluster up with `ray up` or `kubectl apply`."""
    from orchestrator.clusters.files.lifecycle import act

    act("up", file, typer.echo, dry_run, ray_version)


@app.command("stop")
def stop(file: File, dry_run: DryRun = False) -> None:
    """Take a cluster down with `ray down` or `kubectl delete`."""
    from orchestrator.clusters.files.lifecycle import act

    act("down", file, typer.echo, dry_run)


@app.command("status")
def status(
    file: Annotated[Path | None, typer.Argument(help="A cluster file; or give --address.")] = None,
    address: Address = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Nodes, free resources and jobs of a running cluster."""
    from orchestrator.clusters.files.lifecycle import act
    from orchestrator.clusters.jobs import describe
    from orchestrator.console.output import print_json
    from workloads.errors import UserError

    if (file is None) == (address is None):
        raise UserError("give either a cluster file or --address")
    if file is not None:
        if as_json:
            headline = "the status of a cluster file is what Ray or Kubernetes prints, and no JSON"
            raise UserError(headline, where="--json", fix="leave it out, or give --address")
        act("status", file, typer.echo, dry_run)
        return
    lines = describe(str(address))
    if as_json:
        print_json({"address": address, "lines": list(lines)})
        return
    for line in lines:
        typer.echo(line)
