"""Where packages come from is each machine's own affair; which versions were tried is written down for the image."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
HOSTS = (
    "pypi",
    "pythonhosted",
    "download.pytorch",
    "docker.io",
    "ghcr.io",
    "quay.io",
    "nvcr.io",
    "anaconda",
    "pkg.dev",
)
"""Of registries; a name of the reserved domain example.com stands where one must be filled in."""
ADDRESS = re.compile(r"https?://[^\s\"'`<>]*|[\w.-]+\.(?:io|dev)/[\w.-]+")
KINDS = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".jinja", ".svg", ""}


def files():
    """All of the repository but what git ignores."""
    tops = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in (".ci", "cluster", "docs", "examples", "orchestrator", "tests", "tune_spaces", "workloads"):
        tops += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [path for path in tops if path.suffix in KINDS and path != Path(__file__)]


def test_no_registrys_address_stands_anywhere():
    named = {
        (str(path.relative_to(ROOT)), address)
        for path in files()
        for address in ADDRESS.findall(path.read_text(encoding="utf-8", errors="ignore"))
        if any(host in address for host in HOSTS)
    }
    assert named == set()


def test_the_tried_versions_are_within_the_bounds_of_the_project():
    lines = (ROOT / "cluster" / "constraints.txt").read_text().splitlines()
    tried = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        needed = Requirement(line)
        assert needed.specifier.contains(tried[canonicalize_name(needed.name)], prereleases=True), line
    ray = re.search(r"^ARG RAY_VERSION=(.+)$", (ROOT / "cluster" / "Dockerfile").read_text(), re.M).group(1)
    assert tried["ray"] == ray
