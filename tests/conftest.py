"""The order of the tests, and which of them share a process where two run them (`-n 2`).

All tests that start or join Ray are one group: a real cluster takes both cores of a laptop, and two of them would wait
for each other. The others, a group for each file, fill the time in which it waits. Long groups come first.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
LONG = ("contract", "regression", "integration", "unit")
"""Folders of tests, the one with the longest tests first."""
MARK = "pytest.mark.ray"


@cache
def marked(file: Path) -> frozenset[str] | None:
    """The tests of a file that are marked, by their names; None where the whole file is. Its text says so, which a
    process that collects nothing can read, too."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marks = node.value.elts if isinstance(node.value, ast.List) else [node.value]
            if MARK in map(ast.unparse, marks):
                return None
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return frozenset(node.name for node in functions if MARK in map(ast.unparse, node.decorator_list))


def on_ray(test: str) -> bool:
    """Whether a test, by its id, is marked."""
    file, _, name = test.partition("::")
    names = marked(TESTS.parent / file)
    return names is None or name.partition("[")[0] in names


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray first, then folder by folder."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        folder = item.path.relative_to(TESTS).parts[0]
        return not on_ray(item.nodeid), LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process takes whole groups. (xdist's own groups by a mark need another pytest: their names get lost in 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "ray" if on_ray(nodeid) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # the order above is meant
    return ByGroup(config, log)
