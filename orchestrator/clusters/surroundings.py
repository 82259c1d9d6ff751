"""What around a launch breaks a Ray that is started in it: each thing is met before the start."""

import os
import tempfile
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from orchestrator.clusters.code_package import PACKAGES
from workloads.errors import Kind, UserError

LONGEST_ROOT = 24  # characters; Ray's sockets lie 80 deeper, and the path of a unix socket has 107 bytes
LOCAL = ("127.0.0.1", "localhost")
SHARED_MEMORY = "/dev/shm"  # noqa: S108
LEAST_STORE = 128 * 2**20
"""Bytes of an object store that a launch does with: larger images are read from shards."""
LARGER = "give the container more, `docker run --shm-size=8g`, or remove what fills it"
THRESHOLD = "RAY_memory_usage_threshold"


def check_surroundings() -> None:
    """Raises UserError (exit 3) where a Ray that is started here could not work."""
    check_folder(Path.cwd())
    check_memory()
    check_temporary_folder()


def check_folder(folder: Path) -> None:
    """Raises UserError where a package of somebody else's stands under the name of one of ours.

    Ray lets its workers look there first, so that they would import that one.
    """
    for name in PACKAGES:
        there, ours = PathFinder.find_spec(name, [str(folder)]), find_spec(name)
        # a folder that is no package has no origin: Python goes past it
        if there and there.origin and ours and ours.origin and not Path(there.origin).samefile(ours.origin):
            raise UserError(
                f"Ray's workers would import {name} from the folder that you are in",
                where=there.origin,
                fix=f"start from another folder, rename that {name}, or take --executor local",
                kind=Kind.ENVIRONMENT,
            )


def check_memory() -> None:
    """Raises UserError where so much memory is taken that Ray would kill every worker as it starts."""
    from ray._common.utils import get_system_memory
    from ray._private.utils import get_used_memory

    used, allowed = get_used_memory() / get_system_memory(), float(os.environ.get(THRESHOLD) or 0.95)
    if used > allowed:
        raise UserError(
            f"{used:.0%} of this machine's memory is taken, and Ray kills workers from {allowed:.0%} on",
            fix=f"end what takes it, take --executor local, or set {THRESHOLD} to a higher share",
            kind=Kind.ENVIRONMENT,
        )


def temporary_root() -> str:
    """The folder that the one of a Ray that is started here will lie in."""
    system = tempfile.gettempdir()
    return os.environ.get("RAY_TMPDIR") or (system if len(system) <= LONGEST_ROOT else "/tmp")  # noqa: S108


def check_temporary_folder() -> None:
    """Raises UserError where Ray's sockets would lie too deep, or nothing can be written."""
    root = temporary_root()
    if len(root) > LONGEST_ROOT:
        raise UserError(
            f"the path is too long for Ray's sockets: {len(root)} characters, at most {LONGEST_ROOT}",
            where=f"RAY_TMPDIR={root}",
            fix="name a shorter folder, or unset it",
            kind=Kind.ENVIRONMENT,
        )
    try:
        there = next(place for place in (Path(root).absolute(), *Path(root).absolute().parents) if place.is_dir())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        fix = "name a folder of yours by RAY_TMPDIR"
        raise UserError(f"Ray cannot write there: {error.strerror}", root, fix=fix, kind=Kind.ENVIRONMENT) from None


def object_store() -> tuple[int | None, str]:
    """(bytes of the object store of a Ray that is started here, what to know of it): None and nothing where Ray's own
    choice fits into the shared memory.

    Where it does not Ray would take its temporary folder, on a disk, and the store's whole size of it.
    """
    from ray._common.utils import get_system_memory
    from ray._private.utils import get_used_memory, resolve_object_store_memory

    free = shared_memory_free()
    wanted = resolve_object_store_memory(get_system_memory() - get_used_memory())
    if free is None or free >= wanted:
        return None, ""
    fitting = int(free * 0.9)
    on_disk = fitting < LEAST_STORE
    where = f"Ray's object store lies in {temporary_root()}, and is slow" if on_disk else "Ray's object store is small"
    return max(fitting, LEAST_STORE), f"{SHARED_MEMORY} has {free / 1e6:.0f} MB free: {where}"


def shared_memory_free() -> int | None:
    """Bytes; None where the system has no such folder."""
    try:
        facts = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return facts.f_bavail * facts.f_frsize


def state_api() -> None:
    """Ask the State API of the Ray that this process is in. Raises what it raises where it does not answer."""
    from ray.util.state import list_nodes

    list_nodes(timeout=30)


def without_proxy(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Variables that keep what Ray's processes ask each other on this machine from a proxy, beside those that are set.

    Ray's cleaner of stopped trials asks the dashboard; a proxy would not answer, and trials would never end.
    """
    names = ("no_proxy", "NO_PROXY")
    listed = [item.strip() for name in names for item in environment.get(name, "").split(",") if item.strip()]
    value = ",".join(dict.fromkeys([*listed, *LOCAL]))
    return dict.fromkeys(names, "*" if "*" in listed else value)
