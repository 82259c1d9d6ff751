"""The order of the tests, and which of them share a process where two run them (`-n 2`).

All files that start or join Ray are one group: a real cluster takes both cores of a laptop, and two of them would wait
for each other. The other files, a group each, fill the time in which it waits. Long groups come first.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
LONG = ("contract", "regression", "integration", "unit")
"""Folders of tests, the one with the longest tests first."""


@cache
def on_ray(file: Path) -> bool:
    """Whether some test of a file is marked: its text says so, which a process that collects nothing can read, too."""
    return "pytest.mark.ray" in file.read_text(encoding="utf-8")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray first, then folder by folder."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        folder = item.path.relative_to(TESTS).parts[0]
        return not on_ray(item.path), LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process takes whole groups. (xdist's own groups by a mark need another pytest: their names get lost in 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "ray" if on_ray(TESTS.parent / file) else file

    config.option.loadscopereorder = False  # the order above is meant
    return ByGroup(config, log)
