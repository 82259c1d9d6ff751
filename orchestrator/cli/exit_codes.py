"""Exit codes of every verb."""

from enum import IntEnum

from orchestrator.record.state import Outcome
from workloads.errors import Kind


class Exit(IntEnum):
    """What a verb's exit code says."""

    GOOD = 0
    SOME_FAILED = 1  # some trials failed; the report is written all the same
    BAD_USAGE = 2  # a space or an option cannot be used
    ENVIRONMENT = 3  # data, memory, network or cluster is missing
    REFUSED = 4  # already running, or the run on disk is another one
    INTERRUPTED = 130  # stopped by the user; resumable


OF_ERRORS = {
    Kind.USAGE: Exit.BAD_USAGE,
    Kind.ENVIRONMENT: Exit.ENVIRONMENT,
    Kind.REFUSED: Exit.REFUSED,
    Kind.FAILED: Exit.SOME_FAILED,
}
OF_OUTCOMES = {
    Outcome.COMPLETE: Exit.GOOD,
    Outcome.SOME_FAILED: Exit.SOME_FAILED,
    Outcome.FAILED: Exit.SOME_FAILED,
    Outcome.INTERRUPTED: Exit.INTERRUPTED,
}
