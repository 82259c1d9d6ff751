"""`data check`: a folder of your own images. `data prepare|ls|show|verify|stats`: auxiliary sets in shards."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import DEFAULT_DATA, Address, Cpus, DataDir, Debug, Plain
from orchestrator.cli.run import interruptible, watch

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.data.auxiliary.manifest import Manifest
    from orchestrator.data.auxiliary.prepare import Task

app = typer.Typer(help="Check a folder of your own images; prepare and check auxiliary sets.", no_args_is_help=True)
KEPT = "interrupted; finished shards are kept, the same command goes on"
Prepared = Annotated[str, typer.Argument(help="A prepared set: the --out of `data prepare`.")]


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Your class folders, or a folder with train/ and test/ in it.")],
    side: Annotated[int, typer.Option(help="Pixels of a window's side, as in the space's data.", min=8)] = 256,
    ignore: Annotated[list[str], typer.Option(help="Pattern of files and folders to pass over; repeatable.")] = [],  # noqa: B006
    names: Annotated[list[str], typer.Option("--name", help="FOLDER=CLASS; repeatable.")] = [],  # noqa: B006
    group: Annotated[str | None, typer.Option(help="Pattern in file names of images that show one thing.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    plain: Plain = False,
) -> None:
    """What a launch would use of a folder and what not; exit 2 where it would refuse it."""
    import json
    from dataclasses import asdict

    from orchestrator.cli.exit_codes import Exit
    from orchestrator.console.folder_view import print_check
    from orchestrator.console.output import console
    from orchestrator.data.folder_check import check_folder
    from workloads.data.reading.account import FolderRules

    rules = FolderRules(tuple(ignore), dict(item.partition("=")[::2] for item in names), group=group)
    checked = check_folder(folder, rules, side)
    if as_json:
        typer.echo(json.dumps(asdict(checked), indent=1, ensure_ascii=False))
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
        str | None, typer.Option(help="tiny_images: paper, all, or a fraction; paper where absent.")
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
    debug: Debug = False,
) -> None:
    """Make shards of any source. The same command continues what was interrupted."""
    from orchestrator.clusters.connection import check_address, is_remote
    from orchestrator.clusters.submission import submit_words
    from orchestrator.console.auxiliary_view import summary
    from orchestrator.console.output import console, say
    from orchestrator.planning.request import absolute
    from workloads.errors import UserError

    check_address(address)
    if is_remote(address):
        watch(submit_words(prepare_words(context), job_name(absolute(out)), str(address)))
    if near is not None and not without:
        raise UserError("near copies of what?", where="--near", fix="give --without, too")
    screen = console(plain)
    with interruptible(KEPT):
        task = begun(context.params)
        manifest = finished(task, screen, cpus, address)
    for line in summary(manifest):
        say(screen, line)


def begun(options: Mapping[str, Any]) -> "Task":
    """What `prepare` was asked for, looked at and claimed."""
    from orchestrator.data.auxiliary.deduplication import deduplication_with
    from orchestrator.data.auxiliary.manifest import ShardLayout
    from orchestrator.data.auxiliary.prepare import begin
    from orchestrator.data.auxiliary.sources import open_source
    from orchestrator.planning.request import absolute

    side, without = options["side"], options["without"]
    source = open_source(
        options["kind"], absolute(options["source"]), side=side, choose=options["choose"],
        duplicates=[Path(file) for file in options["exclude"]], column=options["column"],
    )  # fmt: skip
    layout = ShardLayout.of(side, round(options["shard_mb"] * 1e6))
    left_out = deduplication_with(without, Path(options["data_dir"]), side, options["near"]) if without else None
    return begin(source, absolute(options["out"]), layout, left_out, options["hold_out"])


def finished(task: "Task", screen: "Console", cpus: int | None, address: str | None) -> "Manifest":
    """Make what is missing, with a Ray where anything is, and show how far it is."""
    from orchestrator.clusters.session import ray_session
    from orchestrator.console.progress_bar import shown_progress
    from orchestrator.data.auxiliary.prepare import make
    from orchestrator.record.provenance import all_cpus

    session = nullcontext() if task.done() else ray_session(None if address else cpus or all_cpus(), address)
    with session, shown_progress(screen, "shards") as seen:
        return make(task, seen)


def job_name(out: str) -> str:
    """What a prepare into `out` is called on a cluster."""
    from orchestrator.planning.code_digest import content_hash

    return f"prepare-{content_hash(out, 8)}"


def prepare_words(context: typer.Context) -> list[str]:
    """This command line again, for a machine of the cluster: paths as they are here, so they must be there, too."""
    from orchestrator.data.auxiliary.manifest import in_set
    from orchestrator.planning.request import absolute

    values = context.params | {"address": "auto", "plain": True, "cpus": None}
    values |= {name: absolute(values[name]) for name in ("source", "out")}
    values["data_dir"] = None if values["data_dir"] == DEFAULT_DATA else absolute(values["data_dir"])
    values["exclude"] = [absolute(str(path)) for path in values["exclude"]]
    values["without"] = [in_set(*name.partition("=")[::2]) for name in values["without"]]
    words = ["data", "prepare", values.pop("kind")]
    for option in context.command.params:
        value, flag = values.get(option.name or ""), option.opts[0]
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [w for item in (value if isinstance(value, list) else [value]) for w in (flag, str(item))]
    return words


@app.command("ls")
def ls(root: Annotated[str, typer.Argument(help="Where to look for prepared sets.")] = DEFAULT_DATA) -> None:
    """Every prepared set below a folder."""
    from upath import UPath

    from orchestrator.console.auxiliary_view import headline
    from orchestrator.console.output import console, say
    from orchestrator.data.auxiliary.manifest import PLAN, Manifest
    from orchestrator.planning.request import absolute
    from workloads.errors import UserError

    folder, screen = UPath(absolute(root)), console()
    sets = sorted((file.parent for file in folder.rglob(PLAN)), key=str) if folder.exists() else []
    for path in sets:
        try:
            say(screen, f"{path}  {headline(Manifest.read(str(path)))}")
        except UserError as error:
            say(screen, f"{path}  {error.headline}")
    if not sets:
        say(screen, f"no prepared sets in {folder}")


@app.command("show")
def show(
    prepared: Prepared,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet: a .png file.")] = None,
    count: Annotated[int, typer.Option(help="Images on the sheet.", min=1, max=2500)] = 100,
    seed: Annotated[int, typer.Option(help="Chooses them.")] = 0,
) -> None:
    """What a set was made of, and a contact sheet of it."""
    import yaml

    from orchestrator.console.auxiliary_view import summary
    from orchestrator.console.output import console, say

    screen = console()
    with interruptible():
        manifest = opened(prepared)
        made_of = yaml.safe_dump(dict(manifest.plan), sort_keys=False, allow_unicode=True).splitlines()
        for line in [*summary(manifest), *made_of]:
            say(screen, line)
        if sheet is not None:
            from orchestrator.data.auxiliary.contact_sheet import some_images, write_sheet

            write_sheet(some_images(manifest, count, seed), sheet)
            say(screen, f"sheet  {sheet}")


@app.command("verify")
def verify(prepared: Prepared, plain: Plain = False) -> None:
    """Read every byte again; exit 1 and the name of each shard that differs from its record."""
    from orchestrator.cli.exit_codes import Exit
    from orchestrator.console.output import console, say
    from orchestrator.console.progress_bar import shown_progress
    from orchestrator.data.auxiliary.verification import verify as check

    screen = console(plain)
    with interruptible():
        manifest = opened(prepared)
        with shown_progress(screen, "verified") as seen:
            damages = check(manifest, seen)
    for damage in damages:
        say(screen, f"{damage.shard}: {damage.what}")
    say(screen, f"{len(manifest.shards)} shards, {manifest.count('bytes') / 1e9:.2f} GB: {len(damages)} problems")
    if damages:
        raise typer.Exit(Exit.SOME_FAILED)


@app.command("stats")
def stats(prepared: Prepared, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Counts of a set, and the mean and deviation of its pixel values in each channel."""
    import json

    from orchestrator.console.auxiliary_view import print_statistics
    from orchestrator.data.auxiliary.verification import statistics

    with interruptible():
        manifest = opened(prepared)
    facts = statistics(manifest)
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        print_statistics(facts)


def opened(prepared: str) -> "Manifest":
    from orchestrator.data.auxiliary.manifest import Manifest
    from orchestrator.planning.request import absolute

    return Manifest.read(absolute(prepared))
