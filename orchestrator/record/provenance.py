"""Where numbers come from: code, packages, machine. Captured once, in the launcher."""

import os
import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from orchestrator.record.events import Provenance

PACKAGES = ("anomaly-orchestrator", "ray", "torch", "torchvision", "numpy", "scikit-learn", "mlflow")


KEYS = r"(?:token|passw|passphrase|secret|credential|signature|api[_-]?key|private[_-]?key|a(?:ccess|ccount)[_-]?key)"
NAME = rf"(?<![\w-])[\w.-]*{KEYS}[\w.-]*|\b(?:\w*[_-])?(?:pwd|sig|authorization)\b"
VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:Bearer|Basic|Digest|Token)\s+\S+|\S+)"""
PLANTED = re.compile(
    rf"""(?P<name>(?i:{NAME})["']?\s*[=:]\s*|(?<!-)--[\w-]*(?i:{KEYS})[\w-]*\s+)(?i:{VALUE})"""
    r"|(?P<bearer>(?i:\bBearer)\s+)(?=\S*[\d._-])\S{6,}"
    r"|(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))"
    r"|\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|(?:gh[opsu]_|hf_|glpat-|xox[abp]-)[\w-]{10,})"
)
"""What looks like a secret: after a name that says so, with `=` or `:` or as an option's value; after "Bearer"; a
private key; and keys of AWS, GitHub, GitLab, Hugging Face and Slack, which are known by how they begin."""


def without_secrets(text: str) -> str:
    """A URI, command line or message without user:password@ and without what looks like a secret. Words of prose that
    follow "token" or "password" stay."""
    # greedy: a password may hold / and @; a file's path may, too, and has no secret
    text = re.sub(r"\b(?!sqlite:|file:)(\w+://)\S+@", r"\1***@", text)
    return PLANTED.sub(lambda match: f"{match['name'] or match['bearer'] or ''}***", text)


def this_python() -> str:
    """How the user would call this interpreter: `python` in an active environment, else its path from here."""
    folder, path = Path.cwd(), Path(sys.executable)
    if os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return "python"
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def from_here(path: str) -> str:
    """A path as one would type it here: relative where it lies below the current folder. A URI stays."""
    return str(Path(path).relative_to(Path.cwd())) if path.startswith(f"{Path.cwd()}/") else path


def git_commit() -> str:
    """Commit of the checkout this code lies in, with `+changes` where it differs; empty outside a checkout."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603, S607
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return f"{commit}+changes" if commit and git("status", "--porcelain", ".") else commit
    except OSError:
        return ""


def all_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_count() -> int:
    """NVIDIA GPUs that this machine shows, without loading CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = len([p for p in Path("/dev").glob("nvidia*") if p.name.removeprefix("nvidia").isdigit()])
    return devices if visible is None else min(devices, len([v for v in visible.split(",") if v.strip()]))


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def capture() -> Provenance:
    """Facts to store beside every result. Nothing in it is secret."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Provenance(
        command=without_secrets(f"python -m orchestrator {shlex.join(sys.argv[1:])}".rstrip()),
        git_commit=git_commit(),
        python=platform.python_version(),
        hardware=f"{os.cpu_count()} x {cpu_name()}",
        versions=versions,
    )
