"""The command line: one verb or group of verbs a file, nothing heavy imported before a verb needs it."""

import logging
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli import analyse, compare, export, extend, launch, logs, plan, predict, report, resume, status
from orchestrator.cli.groups import cluster, data, doctor, latents, runs, spaces

if TYPE_CHECKING:
    from workloads.errors import UserError

app = typer.Typer(
    name="orchestrator",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("launch")(launch.launch)
app.command("resume")(resume.resume)
app.command("plan")(plan.plan)
app.command("simulate")(plan.simulate_run)
app.command("status")(status.status)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("extend")(extend.extend)
app.command("analyse")(analyse.analyse)
app.command("ui")(status.ui)
app.command("logs")(logs.logs)
app.command("stop")(logs.stop)
app.command("doctor")(doctor.doctor)
app.add_typer(runs.app, name="runs")
app.add_typer(spaces.app, name="spaces")
app.add_typer(latents.app, name="latents")
app.add_typer(data.app, name="data")
app.add_typer(cluster.app, name="cluster")


def show_version(wanted: bool) -> None:
    """Print the version and end, where it is wanted."""
    from importlib.metadata import version

    if wanted:
        typer.echo(f"anomaly-orchestrator {version('anomaly-orchestrator')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Train, tune, compare and use deep image anomaly detectors, in one process or on Ray."""


class VisibleLines(logging.Formatter):
    """Of what is logged, which may name files: their names' control characters reach no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        from orchestrator.console.output import visible

        return visible(super().format(record))


def main() -> None:
    """Run a verb. Errors that a user can mend end in a message and an exit code, not in a traceback."""
    from workloads.errors import UserError

    if logging.lastResort:
        logging.lastResort.setFormatter(VisibleLines())
    try:
        app()
    except UserError as error:
        fail(error, error)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        fail(unexpected(error), error)


def unexpected(error: Exception) -> "UserError":
    """An error that nobody planned for: its innermost cause, in a line, or what of the machine stands in the way."""
    from workloads.errors import Kind, UserError, of_the_world

    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if world := of_the_world(error):
        return world
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or ["no message"]
    headline = f"{type(error).__name__}: {lines[-1]}"
    return UserError(headline, fix="--debug of launch and resume shows where", kind=Kind.FAILED)


def fail(error: "UserError", raised: Exception) -> NoReturn:
    """Print an error without secrets, and what was noted on its way here; end with its exit code."""
    from orchestrator.cli.exit_codes import OF_ERRORS
    from orchestrator.console.output import visible
    from orchestrator.record.provenance import without_secrets

    for text in (f"error: {error}", *getattr(raised, "__notes__", ())):
        print(visible(without_secrets(text)), file=sys.stderr)  # noqa: T201
    sys.exit(OF_ERRORS[error.kind])
