"""Promises that a launch does not keep on purpose: the harness must notice each of them.

A regression changes the process that is forked for a launch, and no other.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Regression:
    """apply: breaks the promise. fault: among whose cases it must be noticed. kind: of the files that these are about;
    empty for any."""

    apply: Callable[[], None]
    fault: str
    kind: str = ""


ACTIVE: list[str] = []
"""Names of the regressions that forked launches have."""


def everywhere(name: str, new: Any) -> None:
    """Put something in the place of a function, wherever our modules have it by its name."""
    ours = [module for key, module in sys.modules.items() if key.partition(".")[0] in ("orchestrator", "workloads")]
    for module in ours:
        if hasattr(module, name):
            setattr(module, name, new)


def unchecked(path: Any, *_: object, **__: object) -> Any:
    return path.read_bytes()


def believes_what_exists() -> None:
    everywhere("read_checked", unchecked)
    everywhere("is_whole", lambda path, **_: path.exists())


def believes_without_checksum() -> None:
    from workloads.files import is_whole, read_checked

    everywhere("is_whole", lambda path, **_: is_whole(path))
    everywhere("read_checked", lambda path, *rest, **_: read_checked(path, *rest))


def never_syncs() -> None:
    from tests.chaos.disk import Disk

    Disk.syncing = lambda *_: None  # type: ignore[method-assign]


def resumes_nothing() -> None:
    """The verb of the same name stays."""
    from workloads.training import loop

    real = loop.resume
    for module in list(sys.modules.values()):
        if getattr(module, "resume", None) is real:
            module.resume = lambda *_, **__: None  # type: ignore[attr-defined]


def leaves_half_lines() -> None:
    from orchestrator.record.ledger import Ledger

    def extend(segment: Any, line: str) -> None:
        with segment.open("ab", buffering=0) as file:
            file.write(line.encode())

    Ledger.extend = staticmethod(extend)  # type: ignore[method-assign]


@contextmanager
def no_lock(*_: object) -> Iterator[None]:
    yield


def forgets_runs_of_mlflow() -> None:
    from tests.chaos.tracking import Client

    Client.search_runs = lambda *_: []  # type: ignore[method-assign]


REGRESSIONS = {
    "checksums are not compared": Regression(believes_what_exists, "file bit flipped", "scores"),
    "a file without a checksum is believed": Regression(believes_without_checksum, "killed", "baseline's checksum"),
    "nothing is synced to the disk": Regression(never_syncs, "power cut", "ledger"),
    "half a line stays in the ledger": Regression(leaves_half_lines, "I/O error", "ledger"),
    "the torn last line is kept": Regression(lambda: everywhere("drop_torn_line", lambda _: None), "killed", "ledger"),
    "two launchers may work on a run": Regression(lambda: everywhere("launcher_lock", no_lock), "two launchers"),
    "two runs make a stage at once": Regression(lambda: everywhere("alone", nullcontext), "two runs that share"),
    "what killed writers leave stays": Regression(
        lambda: everywhere("remove_partials", lambda *_, **__: None), "killed", "rung"
    ),
    "signals are not heeded": Regression(lambda: everywhere("heed_signals", lambda: None), "SIGTERM"),
    "states are not resumed": Regression(resumes_nothing, "killed", "scores"),
    "a full disk is an error that nobody planned": Regression(
        lambda: everywhere("of_the_world", lambda _: None), "disk full", "scores"
    ),
    "a trial gets another run in MLflow": Regression(forgets_runs_of_mlflow, "killed", "scores"),
}
