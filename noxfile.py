"""Tasks of development, run in the environment that nox itself is installed in: `.venv/bin/nox -l` lists them."""

import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

nox.options.default_venv_backend = "none"
nox.options.sessions = ["checks", "tests"]

ROOT = Path(__file__).parent
BIN = Path(sys.executable).parent
PROJECT = "anomaly-orchestrator"
PYTEST = ("-m", "pytest")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
"""One thread a process; and what Python and pytest have compiled is kept, for the next process and the next run."""
IMAGE_EXTRAS = {"cluster", "aws", "gcp", "postgres"}
"""Extras of the cluster's image, beside what is always installed."""


def python(session: nox.Session, *words: str, **options: object) -> None:
    session.run(sys.executable, *words, external=True, **options)


@nox.session
def checks(session: nox.Session) -> None:
    """Style, types, and which package may import which."""
    for words in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"]):
        session.run(str(BIN / words[0]), *words[1:], external=True)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but slow ones and benchmarks, in three processes: two for what needs Ray, which mostly waits, and one
    for the others."""
    python(session, *PYTEST, "-n", "3", *session.posargs, env=ENVIRONMENT)


@nox.session
def units(session: nox.Session) -> None:
    """The unit tests alone, in two processes."""
    python(session, *PYTEST, "-n", "2", "tests/unit", *session.posargs, env=ENVIRONMENT)


@nox.session
def exact(session: nox.Session) -> None:
    """The pinned numbers of small launches, to the bit: on the machine that the pins were made on."""
    python(session, "-m", "pytest", "tests/regression", *session.posargs, env={"EXACT": "1"})


@nox.session
def pictures(session: nox.Session) -> None:
    """Draw the pictures of the docs again; `-- STORAGE RUN` photographs a finished run instead."""
    name = "pages.py" if session.posargs else "draw.py"
    python(session, f"docs/pictures/{name}", *session.posargs)


@nox.session
def constraints(session: nox.Session) -> None:
    """Write the versions that are installed here, and have just passed the tests, to cluster/constraints.txt."""
    versions = sorted(installed(PROJECT, {}).items())
    head = "# Versions that were tried together, for the image: `nox -s constraints` after a whole run of the tests."
    lines = [head]
    lines += [f"{name}=={number}" for name, number in versions]
    (ROOT / "cluster" / "constraints.txt").write_text("\n".join(lines) + "\n")
    session.log(f"{len(versions)} versions")


def installed(name: str, known: dict[str, str], extras: frozenset[str] = frozenset(IMAGE_EXTRAS)) -> dict[str, str]:
    """Package -> version of all that a package needs with some extras, as far as it is installed here."""
    for line in requires(name) or ():
        needed = Requirement(line)
        key = canonicalize_name(needed.name)
        wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""})
        if not wanted or key in known:
            continue
        try:
            known[key] = version(key).partition("+")[0]  # wheels for CPUs and for CUDA differ behind the plus
        except PackageNotFoundError:
            continue
        installed(key, known, frozenset(needed.extras))
    return known


@nox.session
def build(session: nox.Session) -> None:
    """A wheel and an sdist, in dist/."""
    python(session, "-m", "build", "--outdir", "dist", ".")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build, and run the main job from the wheel outside the checkout, with the packages that are installed here."""
    build(session)
    newest = max((ROOT / "dist").glob("*.whl"), key=os.path.getmtime)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder)
        python(session, "-m", "venv", str(outside / "venv"))
        there = str(outside / "venv" / "bin" / "python")
        session.run(there, "-m", "pip", "install", "--quiet", "--no-deps", str(newest), external=True)
        site = next((outside / "venv" / "lib").glob("python*")) / "site-packages"
        (site / "packages.pth").write_text("\n".join(packages) + "\n")
        with session.chdir(folder):
            where = "import orchestrator, sys; sys.exit(not orchestrator.__file__.startswith(sys.prefix))"
            session.run(there, "-c", where, external=True)
            script = outside / "venv" / "bin" / PROJECT
            words = ["launch", "sweep_digits", "--preset", "smoke", "--executor", "local", "--plain"]
            session.run(str(script), *words, external=True, env={"PYTHONPATH": ""})
            session.run(str(script), "cluster", "render", "aws", external=True, silent=True)  # its files are inside
