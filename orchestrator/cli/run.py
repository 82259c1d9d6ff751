"""How verbs end that work for long: as their run does, as a job on a cluster does, or interrupted."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from orchestrator.clusters.submission import Job
    from orchestrator.results.handle import Run


def goes_to_a_cluster(address: str | None) -> bool:
    """Whether a verb only hands its work to a cluster's job server and watches."""
    from orchestrator.clusters.connection import is_remote

    return is_remote(address)


@contextmanager
def interruptible(text: str = "interrupted") -> Iterator[None]:
    """Ctrl-C, or a request to end, ends the verb with exit code 130 and what to do next."""
    from orchestrator.cli.exit_codes import Exit
    from orchestrator.clusters.session import heed_signals

    heed_signals()
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"{text}\n")
        sys.exit(Exit.INTERRUPTED)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C, or a request to end, is how the verb ends: with exit code 0."""
    from orchestrator.clusters.session import heed_signals

    heed_signals()
    with suppress(KeyboardInterrupt):
        yield


def end_as(work: Callable[[], "Run"]) -> NoReturn:
    """Do it, and end the process with the exit code of its run."""
    from orchestrator.cli.exit_codes import OF_OUTCOMES
    from orchestrator.record.state import Outcome

    with interruptible():
        sys.exit(OF_OUTCOMES[Outcome(work().outcome)])


def watch(job: "Job") -> NoReturn:
    """Write a job's output until it ends; Ctrl-C lets it go on alone. Ends the process with the job's exit code."""
    from orchestrator.clusters.jobs import words_about

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    about = "\n".join(words_about(job.id, job.run, job.address))
    with interruptible(f"\ndetached; the job goes on\n{about}"):
        write(f"{about}\n")
        sys.exit(job.follow(write))
