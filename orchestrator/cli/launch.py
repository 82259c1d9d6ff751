"""`launch NAME`: run a space, or continue a run of the same name."""

from typing import Annotated

import typer

from orchestrator.cli.options import (
    DEFAULT_DATA,
    DEFAULT_STORAGE,
    Address,
    Cpus,
    DataDir,
    Debug,
    Executor,
    Json,
    Plain,
    Quiet,
    Slots,
    Storage,
    TrackingUri,
)
from orchestrator.cli.run import end_as, goes_to_a_cluster, watch

Space = Annotated[
    str | None,
    typer.Argument(help="A space by name (see `spaces ls`) or the path of your own .py file; none with --images."),
]
Method = Annotated[
    str | None, typer.Option(help="With --images and no space: patch_memory (the default), mlsad, flow or klods.")
]


def launch(
    context: typer.Context,
    space: Space = None,
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = DEFAULT_DATA,
    tracking_uri: TrackingUri = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; by default made from the space.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper, reduced or smoke: scales schedules and widths.")] = None,
    search: Annotated[str | None, typer.Option(help="random, grid, or optuna: chosen as the run goes.")] = None,
    points: Annotated[int | None, typer.Option(help="Points to try, random or chosen.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="asha or fifo.")] = None,
    select_by: Annotated[str | None, typer.Option(help="contrastive, likelihood (flows), or oracle (a leak).")] = None,
    workers: Annotated[int | None, typer.Option(help="Ray Train workers of a trial.")] = None,
    min_workers: Annotated[int | None, typer.Option(help="Elastic: go on with as few where workers are lost.")] = None,
    cpus_per_worker: Annotated[float | None, typer.Option()] = None,
    gpus_per_worker: Annotated[float | None, typer.Option(help="May be a fraction.")] = None,
    share: Annotated[str | None, typer.Option(help="units (whole networks) or batches (rows of every batch).")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the training; the data splits stay.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Train each point so often, with seeds from --seed on.")] = None,
    classes: Annotated[list[str], typer.Option("--class", help="Only this normal class; may be repeated.")] = [],  # noqa: B006
    images: Annotated[str | None, typer.Option(help="Your images' folder; no space is needed with it.")] = None,
    method: Method = None,
    auxiliary: Annotated[list[str], typer.Option(help="NAME or NAME=PATH of an auxiliary set; may be repeated.")] = [],  # noqa: B006
    set: Annotated[list[str], typer.Option("--set", help="KEY=VALUE of the method's config.")] = [],  # noqa: B006
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    address: Address = None,
    slots: Slots = None,
    executor: Executor = "ray",
    cpus: Cpus = None,
    plain: Plain = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a space: plan, shared stages, trials, per-class table, report."""
    import orchestrator
    from orchestrator.console.output import console
    from orchestrator.console.terminal import Terminal
    from orchestrator.planning.options import Arguments

    names = {*Arguments.__annotations__, "storage", "address"} - {"config"}
    arguments = {name: context.params[name] for name in names}
    arguments |= {"config": set, "observer": Terminal(console(plain, quiet or as_json), as_json)}
    if dry_run:
        orchestrator.plan(space, executor=executor, **arguments)
    elif goes_to_a_cluster(address):
        watch(orchestrator.submit(space, **arguments))
    else:
        end_as(lambda: orchestrator.launch(space, executor=executor, **arguments))
