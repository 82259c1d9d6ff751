"""A cluster file brought up and down with the tool that it is for: `ray`, or `kubectl` for Kubernetes' resources."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from orchestrator.clusters.files.documents import at, read_documents
from workloads.errors import Kind, UserError


def is_ray_up(path: Path) -> bool:
    return at(read_documents(path)[0], "cluster_name") is not None


def up_command(path: Path) -> list[str]:
    return ["ray", "up", "-y", str(path)] if is_ray_up(path) else ["kubectl", "apply", "-f", str(path)]


def down_command(path: Path) -> list[str]:
    return ["ray", "down", "-y", str(path)] if is_ray_up(path) else ["kubectl", "delete", "-f", str(path)]


def status_command(path: Path) -> list[str]:
    return (
        ["ray", "exec", str(path), "RAY_AUTH_MODE=token ray status"]  # its login shell need not know the mode
        if is_ray_up(path)
        else ["kubectl", "get", "-f", str(path), "-o", "wide"]
    )


def run_tool(command: list[str]) -> None:
    """Run a command in the user's terminal. Raises UserError (exit 3) where it is missing or fails."""
    beside = Path(sys.executable).with_name(command[0])  # Ray's own tool, also where the environment is not active
    tool = str(beside) if beside.exists() else shutil.which(command[0])
    if tool is None:
        raise UserError(
            f"{command[0]} is not installed", fix=f"install it, or run: {shlex.join(command)}", kind=Kind.ENVIRONMENT
        )
    code = subprocess.run([tool, *command[1:]], check=False).returncode  # noqa: S603 - no shell, and the user's own file
    if code:
        raise UserError(f"`{shlex.join(command)}` ended with {code}", kind=Kind.ENVIRONMENT)
