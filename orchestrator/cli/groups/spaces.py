"""`spaces ls|show|cp`: the built-in spaces, and a copy to begin one's own from."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Json

app = typer.Typer(help="List, show and copy spaces.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a built-in space.")]


@app.command("ls")
def ls(as_json: Json = False) -> None:
    """Every built-in space with the question it answers."""
    from orchestrator.console.output import console, print_json, say
    from tune_spaces.schema.load import questions

    spaces = questions()
    if as_json:
        print_json({"spaces": spaces})
        return
    out = console()
    for name, question in spaces.items():
        say(out, f"{name:22} {question}")


@app.command("show")
def show(name: Name) -> None:
    """A space's file."""
    from tune_spaces.schema.load import source_of

    typer.echo(source_of(name).read_text())


@app.command("cp")
def cp(name: Name, target: Annotated[Path, typer.Argument(help="A new .py file.")]) -> None:
    """Copy a space to a file of your own, to change and launch."""
    from tune_spaces.schema.load import copy_space

    copy_space(name, target)
    typer.echo(f"python -m orchestrator launch {target}")
