"""Failures in the user's words: a headline, where, what was found, the fix; and what each exit code means."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from tune_spaces.problems import Problem
from workloads.errors import BadInputError, DataMissingError


class Exit(IntEnum):
    """Exit codes of every verb."""

    GOOD = 0
    SOME_FAILED = 1  # some trials failed; the report is written all the same
    BAD_USAGE = 2  # a space or an option is wrong
    ENVIRONMENT = 3  # data, memory, network or cluster is missing
    REFUSED = 4  # already running, or the run on disk is another one
    INTERRUPTED = 130  # stopped by the user; resumable


class LaunchError(Exception):
    """Ends a verb with a message and an exit code, without a traceback."""

    def __init__(self, headline: str, *, details: str = "", fix: str = "", code: Exit = Exit.ENVIRONMENT) -> None:
        super().__init__(headline)
        self.headline, self.details, self.fix, self.code = headline, details, fix, code


@contextmanager
def usage_errors() -> Iterator[None]:
    """Bad input ends the verb with exit code 2 and its own words, missing data with 3."""
    try:
        yield
    except BadInputError as error:
        raise LaunchError(str(error), code=Exit.BAD_USAGE) from error
    except DataMissingError as error:
        raise LaunchError(str(error), code=Exit.ENVIRONMENT) from error


def unexpected(error: Exception) -> LaunchError:
    """An error nobody planned for: its innermost cause, in a line."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or ["no message"]
    return LaunchError(
        f"{type(error).__name__}: {lines[-1]}", fix="--debug of launch and resume shows where", code=Exit.SOME_FAILED
    )


def bad_usage(problems: list[Problem], where: str = "") -> LaunchError:
    """All problems of a space and of the options in one error."""
    lines = "\n".join(f"  {problem.key}: {problem.message}" for problem in problems)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return LaunchError(f"{count}{f' in {where}' if where else ''}", details=lines, code=Exit.BAD_USAGE)
