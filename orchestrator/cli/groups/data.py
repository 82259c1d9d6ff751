"""`data check`: a folder of your own images. `data prepare|ls|show|verify|stats`: auxiliary sets in shards."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_DATA, Address, Cpus, DataDir, Debug, Json, Plain, Quiet
from orchestrator.cli.run import goes_to_a_cluster, interruptible, watch

app = typer.Typer(help="Check a folder of your own images; prepare and check auxiliary sets.", no_args_is_help=True)
Prepared = Annotated[str, typer.Argument(help="A prepared set: the --out of `data prepare`.")]


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Your class folders, or a folder with train/ and test/ in it.")],
    side: Annotated[int, typer.Option(help="Pixels of a window's side, as in the space's data.", min=8)] = 256,
    ignore: Annotated[list[str], typer.Option(help="Pattern of files and folders to pass over; repeatable.")] = [],  # noqa: B006
    names: Annotated[list[str], typer.Option("--name", help="FOLDER=CLASS; repeatable.")] = [],  # noqa: B006
    group: Annotated[str | None, typer.Option(help="Pattern in file names of images that show one thing.")] = None,
    as_json: Json = False,
    plain: Plain = False,
) -> None:
    """What a launch would use of a folder and what not; exit 2 where it would refuse it."""
    from dataclasses import asdict

    from orchestrator.cli.exit_codes import Exit
    from orchestrator.console.folder_view import print_check
    from orchestrator.console.output import console, print_json
    from orchestrator.data.folder_check import check_folder
    from workloads.data.reading.account import FolderRules

    rules = FolderRules(tuple(ignore), dict(item.partition("=")[::2] for item in names), group=group)
    checked = check_folder(folder, rules, side)
    if as_json:
        print_json(asdict(checked))
    else:
        print_check(console(plain), checked)
    if checked.problem:
        raise typer.Exit(Exit.BAD_USAGE)


@app.command("prepare")
def prepare(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="tiny_images, folder, webdataset, parquet or npz.")],
    source: Annotated[str, typer.Option("--source", help="The file or folder, or its URI.")],
    out: Annotated[str, typer.Option("--out", help="Folder or URI of the prepared set.")],
    choose: Annotated[
        str | None,
        typer.Option(help="tiny_images: paper, all, or a fraction; webdataset: a pattern of members, as *.img.png."),
    ] = None,
    exclude: Annotated[list[Path], typer.Option(help="tiny_images: published list of duplicates; repeatable.")] = [],  # noqa: B006
    without: Annotated[
        list[str], typer.Option(help="Leave out images of this dataset, or of class folders: folder=PATH; repeatable.")
    ] = [],  # noqa: B006
    near: Annotated[
        int | None, typer.Option(help="--without: near copies, too, up to so many of 64 bits.", min=0, max=32)
    ] = None,
    side: Annotated[int, typer.Option(help="Pixels of an image's side.", min=8)] = 32,
    column: Annotated[str | None, typer.Option(help="parquet: the column of the images; image where absent.")] = None,
    hold_out: Annotated[
        float, typer.Option(help="Share of the shards that only test; the paper's choice has its own.", min=0, max=0.9)
    ] = 0.05,
    shard_mb: Annotated[float, typer.Option(help="Size of a shard, about; webdataset: a tar file.", min=1.0)] = 100.0,
    data_dir: DataDir = DEFAULT_DATA,
    address: Address = None,
    cpus: Cpus = None,
    plain: Plain = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make shards of any source. The same command continues what was interrupted."""
    from orchestrator.console.auxiliary_view import set_facts, summary
    from orchestrator.console.output import console, print_json, say
    from orchestrator.console.progress_bar import shown_progress
    from orchestrator.data.auxiliary.preparation import Preparation, submit_preparation
    from orchestrator.data.auxiliary.preparation import prepare as prepare_set

    preparation = Preparation(**{name: context.params[name] for name in Preparation.__annotations__})
    if goes_to_a_cluster(address):
        watch(submit_preparation(preparation, str(address)))
    screen = console(plain, quiet or as_json)
    with interruptible("interrupted; finished shards are kept, the same command goes on"):
        manifest = prepare_set(preparation, shown_progress(screen, "shards"), cpus, address)
    for line in summary(manifest):
        say(screen, line)
    if as_json:
        print_json(set_facts(manifest))


@app.command("ls")
def ls(
    root: Annotated[str, typer.Argument(help="Where to look for prepared sets.")] = DEFAULT_DATA, as_json: Json = False
) -> None:
    """Every prepared set below a folder."""
    from orchestrator.console.auxiliary_view import print_sets, set_facts
    from orchestrator.console.output import print_json
    from orchestrator.data.auxiliary.manifest import sets_below

    sets = sets_below(root)
    if as_json:
        print_json({"sets": list(map(set_facts, sets.values()))})
    else:
        print_sets(sets, root)


@app.command("show")
def show(
    prepared: Prepared,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet: a .png file.")] = None,
    count: Annotated[int, typer.Option(help="Images on the sheet.", min=1, max=2500)] = 100,
    seed: Annotated[int, typer.Option(help="Chooses them.")] = 0,
    as_json: Json = False,
) -> None:
    """What a set was made of, and a contact sheet of it."""
    from orchestrator.console.auxiliary_view import print_set
    from orchestrator.data.auxiliary.manifest import open_set

    with interruptible():
        if sheet is None:
            print_set(open_set(prepared), as_json=as_json)
            return
        from orchestrator.data.auxiliary.contact_sheet import sheet_of

        print_set(sheet_of(prepared, sheet, count, seed), sheet, as_json=as_json)


@app.command("verify")
def verify(prepared: Prepared, plain: Plain = False, quiet: Quiet = False, as_json: Json = False) -> None:
    """Read every byte again; exit 1 and the name of each shard that differs from its record."""
    from orchestrator.cli.exit_codes import Exit
    from orchestrator.console.auxiliary_view import print_damages
    from orchestrator.console.output import console, print_json
    from orchestrator.console.progress_bar import shown_progress
    from orchestrator.data.auxiliary.verification import verify_set

    screen = console(plain, quiet or as_json)
    with interruptible():
        verified = verify_set(prepared, shown_progress(screen, "verified"))
    print_damages(screen, verified)
    if as_json:
        print_json({"damages": verified.damages})
    if verified.damages:
        raise typer.Exit(Exit.SOME_FAILED)


@app.command("stats")
def stats(prepared: Prepared, as_json: Json = False) -> None:
    """Counts of a set, and the mean and deviation of its pixel values in each channel."""
    from orchestrator.console.auxiliary_view import print_statistics
    from orchestrator.console.output import print_json
    from orchestrator.data.auxiliary.verification import statistics

    with interruptible():
        facts = statistics(prepared)
    if as_json:
        print_json(facts)
    else:
        print_statistics(facts)
