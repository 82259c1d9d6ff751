"""What travels to a cluster: the code of the three packages and, where there is one, the user's own space."""

import shutil
from pathlib import Path

PACKAGES = ("orchestrator", "tune_spaces", "workloads")
SPACE_FOLDER = "own_space"


def pack(folder: Path, space: Path | None) -> None:
    """Copy the code into `folder`: sources only, no .git, no data, about a megabyte."""
    root = Path(__file__).parents[2]
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc", "*.md", "deployments")  # no job makes a cluster
    for name in PACKAGES:
        shutil.copytree(root / name, folder / name, ignore=left_out)
    if space is not None:
        (folder / SPACE_FOLDER).mkdir()
        shutil.copy(space, folder / SPACE_FOLDER / space.name)
