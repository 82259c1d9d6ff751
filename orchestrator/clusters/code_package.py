"""What travels to a cluster: the code of the three packages, the user's own space and the method beside it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

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
