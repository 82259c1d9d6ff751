"""`launch NAME`: run a space, or continue a run of the same name."""

from dataclasses import fields
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
    Plain,
    Slots,
    Storage,
    TrackingUri,
    all_cpus,
)


def launch(
    context: typer.Context,
    space: Annotated[str, typer.Argument(help="A space by name (see `spaces ls`) or the path of your own .py file.")],
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = DEFAULT_DATA,
    tracking_uri: TrackingUri = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; by default made from the space.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper, reduced or smoke: scales schedules and widths.")] = None,
    search: Annotated[str | None, typer.Option(help="random or grid.")] = None,
    points: Annotated[int | None, typer.Option(help="Random points to try.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="asha or fifo.")] = None,
    select_by: Annotated[str | None, typer.Option(help="contrastive, likelihood (flows), or oracle (a leak).")] = None,
    workers: Annotated[int | None, typer.Option(help="Ray Train workers of a trial.")] = None,
    min_workers: Annotated[int | None, typer.Option(help="Elastic: go on with as few where workers are lost.")] = None,
    cpus_per_worker: Annotated[float | None, typer.Option()] = None,
    gpus_per_worker: Annotated[float | None, typer.Option(help="May be a fraction.")] = None,
    share: Annotated[str | None, typer.Option(help="units (whole networks) or batches (rows of every batch).")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the training; the data splits stay.")] = None,
    classes: Annotated[list[str], typer.Option("--class", help="Only this normal class; may be repeated.")] = [],  # noqa: B006
    images: Annotated[str | None, typer.Option(help="The images' folder, for spaces on the dataset 'folder'.")] = None,
    auxiliary: Annotated[list[str], typer.Option(help="NAME or NAME=PATH of an auxiliary set; may be repeated.")] = [],  # noqa: B006
    set: Annotated[list[str], typer.Option("--set", help="KEY=VALUE of the method's config.")] = [],  # noqa: B006
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    address: Address = None,
    slots: Slots = None,
    executor: Executor = "ray",
    cpus: Cpus = None,
    plain: Plain = False,
    debug: Debug = False,
) -> None:
    """Run a space: plan, shared stages, trials, per-class table, report."""
    from orchestrator.cli.remote import hand_over, launch_words, refuse_own_folders
    from orchestrator.cli.run import run
    from orchestrator.clusters.connection import check_address, is_remote
    from orchestrator.planning.options import Options, load_space
    from orchestrator.planning.request import Request, absolute, with_whole_paths
    from orchestrator.record.provenance import gpu_count

    check_address(address)
    options = Options(**{option.name: context.params[option.name] for option in fields(Options)})
    loaded, resolved, preset_name = load_space(space, options)
    if is_remote(address):
        refuse_own_folders(resolved.data, data_dir)
    request = Request(
        loaded, with_whole_paths(resolved), preset_name, absolute(storage), absolute(data_dir), tracking_uri, name,
        cpus or all_cpus(), gpu_count(), executor, address, slots,
    )  # fmt: skip
    if is_remote(address) and not dry_run:
        hand_over(request, launch_words(request, options), data_dir, plain=plain)
    run(request, plain=plain, dry_run=dry_run)
