"""What travels to a cluster: the code of the three packages, the user's own space and the method beside it."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from workloads.registry import GROUP, installed, top_module

PACKAGES = ("orchestrator", "tune_spaces", "workloads")
SPACE_FOLDER = "own_space"


def pack(folder: Path, users: Sequence[Path] = ()) -> None:
    """Copy the code into `folder`: sources only, no .git, no data, about a megabyte.

    users: files, and folders of packages, that the user's space consists of.
    """
    root = Path(__file__).parents[2]
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc", "*.md", "deployments")  # no job makes a cluster
    for name in PACKAGES:
        shutil.copytree(root / name, folder / name, ignore=left_out)
    for source in users:
        (folder / SPACE_FOLDER).mkdir(exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / SPACE_FOLDER / source.name)
    name_methods(folder, {source.stem for source in users})


def name_methods(folder: Path, modules: Collection[str]) -> None:
    """Make the entry points whose top modules travel known there, too: the space may name its method by one."""
    points = [point for name, point in installed().items() if top_module(name) in modules]
    if points:
        metadata = folder / f"{SPACE_FOLDER}-0.dist-info"  # the job's folder is on Python's path
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {SPACE_FOLDER}\nVersion: 0\n")
        lines = [f"[{GROUP}]", *(f"{point.name} = {point.value}" for point in points)]
        (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
