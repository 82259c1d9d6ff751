"""A cluster file brought up and down with the tool that it is for: `ray`, or `kubectl` for Kubernetes' resources."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from orchestrator.clusters.files.documents import at, read_documents
from orchestrator.clusters.files.validate import check
from workloads.errors import Kind, UserError


def command_for(action: Literal["up", "down", "status"], path: Path) -> list[str]:
    """The command that brings a file's cluster up, takes it down, or tells how it is."""
    if at(read_documents(path)[0], "cluster_name") is None:
        verb = {"up": "apply", "down": "delete", "status": "get"}[action]
        return ["kubectl", verb, "-f", str(path), *(["-o", "wide"] if action == "status" else [])]
    if action == "status":
        return ["ray", "exec", str(path), "RAY_AUTH_MODE=token ray status"]  # its login shell need not know the mode
    return ["ray", action, "-y", str(path)]


def act(
    action: Literal["up", "down", "status"],
    path: Path,
    show: Callable[[str], None],
    dry_run: bool,
    ray_version: str | None = None,
) -> None:
    """Show the command for a file's cluster, then run it; what is to come up is checked before, against that Ray.

    Raises UserError with everything wrong with the file, and as `run_tool` does.
    """
    if action == "up":
        check([path], ray_version)
    command = command_for(action, path)
    show(shlex.join(command))
    if not dry_run:
        run_tool(command)


def run_tool(command: list[str]) -> None:
    """Run a command in the user's terminal. Raises UserError (exit 3) where it is missing or fails."""
    beside = Path(sys.executable).with_name(command[0])  # Ray's own tool, also where the environment is not active
    tool = str(beside) if beside.exists() else shutil.which(command[0])
    if tool is None:
        fix = f"install it, or run: {shlex.join(command)}"
        raise UserError(f"{command[0]} is not installed", fix=fix, kind=Kind.ENVIRONMENT)
    code = subprocess.run([tool, *command[1:]], check=False).returncode  # noqa: S603 - no shell, and the user's own file
    if code:
        raise UserError(f"`{shlex.join(command)}` ended with {code}", kind=Kind.ENVIRONMENT)
