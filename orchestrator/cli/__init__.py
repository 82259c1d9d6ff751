"""The command line: one verb a file, nothing heavy imported before a verb needs it."""

import sys

import typer

from orchestrator.cli import launch, report, resume, score, spaces, status

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
app.command("status")(status.status)
app.command("report")(report.report)
app.command("score")(score.score)
app.add_typer(spaces.app, name="spaces")


def main() -> None:
    """Run a verb. Errors that a user can mend end in a message and an exit code, not in a traceback."""
    from orchestrator.failures import LaunchError

    try:
        app()
    except LaunchError as error:
        print(f"error: {error.headline}", file=sys.stderr)  # noqa: T201
        for text in (error.details, f"fix: {error.fix}" if error.fix else ""):
            if text:
                print(text, file=sys.stderr)  # noqa: T201
        sys.exit(error.code)
