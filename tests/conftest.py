"""The order of the tests, and which of them share a process where two run them (`-n 2 --dist loadgroup`).

All that starts or joins Ray is one group: a real cluster takes both cores of a laptop, and two of them would wait for
each other. The other files, a group each, fill the time in which it waits. Long groups come first.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONG = ("contract", "regression", "integration", "unit")
"""Folders of tests, the one with the longest tests first."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Ray first, then folder by folder."""
    on_ray = {item.path for item in items if item.get_closest_marker("ray")}

    def place(item: pytest.Item) -> tuple[bool, int]:
        folder = item.path.relative_to(TESTS).parts[0]
        return item.path not in on_ray, LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            name = "ray" if item.path in on_ray else str(item.path.relative_to(TESTS))
            item.add_marker(pytest.mark.xdist_group(name))
