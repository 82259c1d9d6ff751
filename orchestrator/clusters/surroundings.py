"""What around a launch breaks a Ray that is started in it: each thing is met before the start."""

import os
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from orchestrator.clusters.code_package import PACKAGES
from workloads.errors import Kind, UserError

LOCAL = ("127.0.0.1", "localhost")
THRESHOLD = "RAY_memory_usage_threshold"


def check_surroundings() -> None:
    """Raises UserError (exit 3) where a Ray that is started here could not work."""
    check_folder(Path.cwd())
    check_memory()


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


def without_proxy(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Variables that keep what Ray's processes ask each other on this machine from a proxy, beside those that are set.

    Ray's cleaner of stopped trials asks the dashboard; a proxy would not answer, and trials would never end.
    """
    names = ("no_proxy", "NO_PROXY")
    listed = [item.strip() for name in names for item in environment.get(name, "").split(",") if item.strip()]
    value = ",".join(dict.fromkeys([*listed, *LOCAL]))
    return dict.fromkeys(names, "*" if "*" in listed else value)
