"""`latents score` and `latents select`: group scores of latents in array files, of any flow."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Json

app = typer.Typer(help="Score groups of latents from array files, of any flow.", no_args_is_help=True)

Train = Annotated[Path, typer.Option("--train", help="Training latents: .npy, .npz or a folder of .npy.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the groups and of the random directions.")]
Weighting = Annotated[str, typer.Option("--weighting", help="Of levels in a sum: vectors or equal.")]
Shrinkage = Annotated[float, typer.Option("--shrinkage", help="Weight of the identity, for regulariser shrinkage.")]


@app.command("score")
def score(
    train: Train,
    normal: Annotated[Path, typer.Option("--in", help="Test latents of normal images.")],
    out: Annotated[list[Path], typer.Option("--out", help="Latents of anomalies; repeat for several sets.")],
    group_size: Annotated[list[int], typer.Option("--group-size", help="Images a group; repeat.")] = [1, 5, 10, 25],  # noqa: B006
    split: Annotated[str, typer.Option("--split", help="patches_P, channels, groups_G or squeeze.")] = "patches_2",
    level: Annotated[str, typer.Option("--level", help="z1, z2, ... or sum.")] = "sum",
    regulariser: Annotated[str, typer.Option("--regulariser", help="none, shrinkage or ledoit_wolf.")] = "none",
    shrinkage: Shrinkage = 0.1,
    weighting: Weighting = "vectors",
    contamination: Annotated[float, typer.Option("--contamination", help="Anomalies' share of their groups.")] = 1.0,
    directions: Annotated[int, typer.Option("--directions", help="Of GOD1KS and GOD2KS.")] = 50,
    seed: Seed = 0,
    out_file: Annotated[Path | None, typer.Option("--out-file", help="Parquet file of every group's scores.")] = None,
    as_json: Json = False,
) -> None:
    """AUROC of groups, with a 95 % interval, by score and group size; higher = more anomalous."""
    import pyarrow.parquet as pq

    from orchestrator.console.latents_view import print_scores
    from orchestrator.console.output import print_json
    from workloads.klods.latent_files import score_files

    table, cells, notes = score_files(train, normal, out, {
        "group_sizes": tuple(sorted(set(group_size))), "split": split, "level": level, "regulariser": regulariser,
        "shrinkage": shrinkage, "weighting": weighting, "contamination": contamination, "directions": directions,
        "group_seed": seed,
    })  # fmt: skip
    if as_json:
        print_json({"cells": cells, "notes": notes})
    else:
        print_scores(cells, notes)
    if out_file:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, out_file)
    if out_file and not as_json:
        typer.echo(f"{len(table)} scores in {out_file}")


@app.command("select")
def select(
    train: Train,
    held_out: Annotated[Path, typer.Option("--held-out", help="Normal latents that the flow has not seen.")],
    group_size: Annotated[int, typer.Option("--group-size", help="Images a group.")] = 5,
    by: Annotated[str, typer.Option("--select-by", help="shift, calibration, or oracle (a leak).")] = "shift",
    out: Annotated[Path | None, typer.Option("--out", help="Latents of real anomalies, for the oracle.")] = None,
    shift: Annotated[float, typer.Option("--shift", help="Neighbour correlation of the made anomalies.")] = 0.2,
    alpha: Annotated[float, typer.Option("--alpha", help="Nominal false-positive rate.")] = 0.05,
    shrinkage: Shrinkage = 0.1,
    weighting: Weighting = "vectors",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Choose split, level, regulariser and reference without anomalies, on held-out latents."""
    from orchestrator.console.latents_view import print_candidates
    from orchestrator.console.output import print_json
    from workloads.klods.latent_files import select_files

    candidates, skipped, chosen = select_files(train, held_out, out, {
        "group_sizes": (group_size,), "shift": shift, "alpha": alpha, "shrinkage": shrinkage, "weighting": weighting,
        "group_seed": seed,
    }, by)  # fmt: skip
    if as_json:
        print_json({"candidates": candidates, "skipped": skipped, "chosen": chosen, "by": by})
    else:
        print_candidates(candidates, skipped, chosen, by, group_size, oracle=out is not None)
