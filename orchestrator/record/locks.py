"""Locks between processes. They are the operating system's: a killed process leaves none behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from upath import UPath

from orchestrator.record.paths import RunPaths
from workloads.errors import Kind, UserError


@contextmanager
def launcher_lock(paths: RunPaths) -> Iterator[None]:
    """Only one live launcher a run. Raises UserError (exit 4) where another holds the run.

    On remote storage there is no such lock: keep to one launcher a run there.
    """
    paths.folder.mkdir(parents=True, exist_ok=True)
    if not paths.is_local:
        yield
        return
    lock = FileLock(str(paths.folder / ".launcher.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"the run {paths.run!r} already has a live launcher",
            fix=f"watch it with `python -m orchestrator status {paths.run}`, or give this one another --name",
            kind=Kind.REFUSED,
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def alone(folder: UPath) -> Iterator[None]:
    """Wait until nobody else makes what belongs into `folder`, which several runs share; look again then.

    Without a file system's locks (remote storage) nobody waits: what is shared is found by the hash of what it is made
    of, so two writers at once write the same and only waste their time.
    """
    if not isinstance(folder, Path):
        yield
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        yield
