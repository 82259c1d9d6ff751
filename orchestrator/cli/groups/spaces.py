"""`spaces ls|show|cp`: the built-in spaces, and a copy to begin one's own from."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, show and copy spaces.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a built-in space.")]


def find(name: str) -> Path:
    from tune_spaces.schema.load import source_of

    return source_of(name)


@app.command("ls")
def ls() -> None:
    """Every built-in space with the question it answers."""
    from orchestrator.console.output import console, say
    from tune_spaces.schema.load import SPACES, doc_of, source_of

    out = console()
    for name in SPACES:
        say(out, f"{name:22} {doc_of(source_of(name)).splitlines()[0]}")


@app.command("show")
def show(name: Name) -> None:
    """A space's file."""
    typer.echo(find(name).read_text())


@app.command("cp")
def cp(name: Name, target: Annotated[Path, typer.Argument(help="A new .py file.")]) -> None:
    """Copy a space to a file of your own, to change and launch."""

    from workloads.errors import UserError

    source = find(name)
    if target.suffix != ".py" or target.exists():
        why = "exists already" if target.exists() else "must end in .py"
        raise UserError(f"{target} {why}", fix="choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source.read_text())
    typer.echo(f"python -m orchestrator launch {target}")
