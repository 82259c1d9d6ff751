"""The command line: one verb a file, nothing heavy imported before a verb needs it."""

import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from orchestrator.cli import (
    analyse,
    cluster,
    compare,
    data,
    latents,
    launch,
    logs,
    plan,
    report,
    resume,
    score,
    spaces,
    status,
)

if TYPE_CHECKING:
    from orchestrator.failures import LaunchError

app = typer.Typer(
    name="orchestrator",
    help="Train, tune, compare and use deep image anomaly detectors on Ray.",
    no_args_is_help=True,
    add_completion=False,
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
app.command("score")(score.score)
app.command("analyse")(analyse.analyse)
app.command("logs")(logs.logs)
app.command("stop")(logs.stop)
app.add_typer(spaces.app, name="spaces")
app.add_typer(latents.app, name="latents")
app.add_typer(data.app, name="data")
app.add_typer(cluster.app, name="cluster")


def main() -> None:
    """Run a verb. Errors that a user can mend end in a message and an exit code, not in a traceback."""
    from orchestrator.failures import LaunchError, unexpected

    try:
        app()
    except LaunchError as error:
        fail(error)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        fail(unexpected(error))


def fail(error: "LaunchError") -> NoReturn:
    """Print an error as far as it is known, without secrets, and end with its code."""
    from orchestrator.provenance import without_secrets

    for text in (f"error: {error.headline}", error.details, f"fix: {error.fix}" if error.fix else ""):
        if text:
            print(without_secrets(text), file=sys.stderr)  # noqa: T201
    sys.exit(error.code)
