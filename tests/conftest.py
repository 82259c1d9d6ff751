"""The order of the tests, and which of them share a process where three run them (`-n 3`).

Tests that share a Ray are one group; those that start one of their own are a group for each file, and so are others.
Two processes at a time have groups with Ray, as long as there are others: of two cores each of them leaves half unused,
for it waits for processes to start. Whoever is free takes the next group, long ones first, so that all end together.
"""

import ast
import gc
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

os.environ.pop("COLUMNS", None)  # of the shell or of nox; tests that want a width ask for it

TESTS = Path(__file__).parent
LONG = ("contract", "regression", "integration", "unit")
"""Folders of tests, the one with the longest tests first."""
SHARED = TESTS / "integration" / "shared_cluster"
MARK = "pytest.mark.ray"
RAY = "a Ray: "
"""How the names of groups begin whose tests start or join one."""
AT_ONCE = 2
"""Processes that have such a group while there are others."""
LASTING = "pytest.fixture(scope='module')"


@cache
def grouped(file: Path) -> frozenset[str] | None:
    """The tests of a file that go with Ray, by their names; None where the whole file does. Its text says so, which a
    process that collects nothing can read, too.

    A test that has what a marked one has, made once for the file, goes along: else it would be made twice.
    """
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marks = node.value.elts if isinstance(node.value, ast.List) else [node.value]
            if MARK in map(ast.unparse, marks):
                return None
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    lasting = {name for name, node in functions.items() if LASTING in decorators(node)}
    marked = {name: node for name, node in functions.items() if MARK in decorators(node)}
    needed = {argument.arg for node in marked.values() for argument in node.args.args} & lasting
    along = {name for name, node in functions.items() if needed & {argument.arg for argument in node.args.args}}
    return frozenset(marked.keys() | along)


def decorators(node: ast.FunctionDef) -> Iterator[str]:
    return map(ast.unparse, node.decorator_list)


def on_ray(test: str) -> bool:
    """Whether a test, by its id, goes with Ray."""
    file, _, name = test.partition("::")
    names = grouped(TESTS.parent / file)
    return names is None or name.partition("[")[0] in names


def group(test: str) -> str:
    """Those of one name run one after the other."""
    file = test.partition("::")[0]
    if not on_ray(test):
        return file
    return RAY + ("for all" if SHARED in (TESTS.parent / file).parents else file)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray first, the shared one before the others, then folder by folder."""

    def place(item: pytest.Item) -> tuple[bool, bool, int]:
        folder = item.path.relative_to(TESTS).parts[0]
        ray = on_ray(item.nodeid)
        return not ray, not (ray and SHARED in item.path.parents), LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


def pytest_configure(config: pytest.Config) -> None:
    """What is imported and collected stays; whoever hands tests out to other processes collects none."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        gc.disable()


def pytest_collection_finish() -> None:
    """Garbage is collected from here on: looking through tests and modules again and again takes a tenth of the time
    that collecting tests does."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process takes whole groups. (xdist's own groups by a mark need another pytest: their names get lost in 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            others = [self.assigned_work[other] for other in self.nodes if other is not node]
            if sum(map(self.has_ray, others)) >= AT_ONCE:
                free = next((name for name in self.workqueue if not name.startswith(RAY)), None)
                if free is not None:
                    self.workqueue.move_to_end(free, last=False)
            super()._assign_work_unit(node)

        def has_ray(self, work: dict[str, dict[str, bool]]) -> bool:
            return any(name.startswith(RAY) and not all(done.values()) for name, done in work.items())

    config.option.loadscopereorder = False  # the order above is meant
    return ByGroup(config, log)


@pytest.fixture(scope="session", autouse=True)
def made_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow needs a second to make the tables of a new database. Launches of this process have copies of one that it
    has made; those of other processes, as users start them, their own."""
    from orchestrator.record.tracking.tracker import Tracker

    connect = Tracker.connect

    @cache
    def empty() -> Path:
        import mlflow

        file = tmp_path_factory.mktemp("mlflow") / "empty.db"
        mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
        return file

    def connect_to_copy(tracker: Tracker) -> None:
        kind, _, path = tracker.uri.partition(":///")
        if kind == "sqlite" and not Path(path).exists():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(empty(), path)
        connect(tracker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tracker, "connect", connect_to_copy)
        yield
