"""`runs ls|show|rm|repair|gc`: what a storage holds, what it takes on disk, and what of it nobody needs any more."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Run, Storage, sources_of

app = typer.Typer(help="List, show, remove and clean up runs.", no_args_is_help=True)
Really = Annotated[bool, typer.Option("--yes", help="Do it; without it what would go is listed, and nothing goes.")]


@app.command("ls")
def ls(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """The runs of a storage with their state, their AUROC and their size, the newest last."""
    from orchestrator.console.output import console, print_json
    from orchestrator.console.runs_view import print_runs
    from orchestrator.results.disk import runs_on_disk

    runs = runs_on_disk(storage)
    if as_json:
        print_json({"runs": runs})
    else:
        print_runs(console(), runs, storage)


@app.command("show")
def show(context: typer.Context, run: Run, storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """What a run was, what of it takes how much room, and who has said where it lies."""
    from orchestrator.console.output import console, print_json
    from orchestrator.console.runs_view import print_run
    from orchestrator.results.disk import runs_on_disk

    (shown,) = runs_on_disk(storage, run)
    sources = sources_of(context)
    if as_json:
        print_json({"run": shown, "from": sources})
    else:
        print_run(console(), shown, sources["storage"].by)


@app.command("rm")
def rm(
    runs: Annotated[list[str], typer.Argument(help="Names of runs.")],
    really: Really = False,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Remove whole runs. What they share with others stays, and so does what MLflow has of them."""
    from orchestrator.console.output import console, print_json
    from orchestrator.console.runs_view import print_removal
    from orchestrator.results.disk import remove_runs

    removal = remove_runs(storage, runs, really=really)
    if as_json:
        print_json({"removal": removal})
    else:
        print_removal(console(), removal)


@app.command("repair")
def repair(run: Run, really: Really = False, storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """Write a damaged ledger again without the lines that are damaged; the damaged file is kept.

    What they said is made up for by the next `resume`, from the files of the trials.
    """
    from orchestrator.console.output import console, print_json
    from orchestrator.console.runs_view import print_repair
    from orchestrator.record.repair import repair_run

    repaired = repair_run(run, storage, really=really)
    if as_json:
        print_json({"repair": repaired})
    else:
        print_repair(console(), repaired, run)


@app.command("gc")
def gc(
    runs: Annotated[list[str] | None, typer.Argument(help="Names of runs; all of the storage where absent.")] = None,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Losers' weights stay.")] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="Also stages, images and baselines that no run of the storage needs.")
    ] = False,
    really: Really = False,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Remove the weights of trials that are over and not the winner, and Ray's own files, of runs that have ended.

    Scores, numbers, reports and the winner stay; so does everything of a run that goes on or was interrupted.
    """
    from orchestrator.console.output import console, print_json
    from orchestrator.console.runs_view import print_removal
    from orchestrator.results.disk import clean

    removal = clean(storage, runs or (), keep_weights=keep_weights, shared=shared, really=really)
    if as_json:
        print_json({"removal": removal})
    else:
        print_removal(console(), removal)
