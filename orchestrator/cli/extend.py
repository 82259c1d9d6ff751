"""`extend RUN IMAGES... --out FOLDER`: further normal images for a run's best detector."""

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, Json, Run, Storage


def extend(
    run: Run,
    images: Annotated[list[str], typer.Argument(help="Normal images: files, folders, tar archives, or URIs.")],
    out: Annotated[str, typer.Option("--out", help="A new folder, which then stands where verbs take a RUN.")],
    target: Annotated[
        str | None, typer.Option("--class", help="The class that counts as normal, where the run has several.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Add normal images to a memory without starting anew; thresholds then rest on them."""
    import orchestrator
    from orchestrator.console.output import console, counted, print_json, say

    made = orchestrator.extend(run, *images, out=out, target=target, storage=storage)
    if as_json:
        print_json({"extended": made})
        return
    screen = console()
    say(screen, f"{counted(made.added, 'image')} added; the detector is {made.out}, its card README.md")
    say(screen, f"the smallest false-alarm rate that they support is {made.smallest_rate:.4g}")
