"""A verb turns words into one call, of the Python door or of one public function of a room, and shows what comes back.

A verb's function is read, not run. A call counts where it is of a function, or of a method of a class, that another
module of the project defines; helpers in the verb's own file are read as well. What shows or ends does not count: the
console, `cli`, errors, nor does plain data. Of branches that exclude each other the one with more calls counts, and a
call in a loop counts twice, for it is made again.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

import pytest
import typer

import orchestrator
from orchestrator.cli import app
from orchestrator.cli.run import end_as
from orchestrator.record.runs import open_run

OURS = ("orchestrator", "workloads", "tune_spaces")
SHOWING = ("orchestrator.console", "orchestrator.cli")
LOOPS = ast.For | ast.While | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def verbs(group: typer.Typer, before: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """(words, function) of every verb of a group, and of the groups in it."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{before}{command.name}", command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from verbs(inner.typer_instance, f"{before}{inner.name} ")


VERBS = dict(verbs(app))


class Reader:
    """Reads a function and counts the calls that a way through it makes at most."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.module = function.__module__
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        (definition,) = tree.body
        assert isinstance(definition, ast.FunctionDef)
        self.body = definition.body
        imports = [node for node in ast.walk(definition) if isinstance(node, ast.Import | ast.ImportFrom)]
        self.names = vars(sys.modules[self.module]) | {k: v for node in imports for k, v in bound(node)}

    def most(self) -> int:
        return self.of_body(self.body)

    def of_body(self, body: Sequence[ast.stmt]) -> int:
        """Calls from here to the end, whichever way is taken."""
        if not body:
            return 0
        first, *rest = body
        if isinstance(first, ast.If):
            ways = [[*way, *rest] for way in (first.body, first.orelse)]
            return self.of(first.test) + max(map(self.of_body, ways))
        if isinstance(first, ast.With):
            return sum(map(self.of, first.items)) + self.of_body([*first.body, *rest])
        return self.of(first) + (0 if self.ends(first) else self.of_body(rest))

    def of(self, node: ast.AST) -> int:
        """Calls in an expression, or in a statement and all that is in it."""
        if isinstance(node, ast.IfExp):
            return self.of(node.test) + max(self.of(node.body), self.of(node.orelse))
        inner = sum(map(self.of, ast.iter_child_nodes(node)))
        if isinstance(node, LOOPS):
            once = node.iter if isinstance(node, ast.For) else getattr(node, "generators", [node])[0]
            first = self.of(once.iter) if isinstance(once, ast.comprehension) else self.of(once)
            return 2 * inner - first
        return inner + (self.of_call(node.func) if isinstance(node, ast.Call) else 0)

    def of_call(self, name: ast.expr) -> int:
        target = self.target(name)
        place = getattr(target, "__module__", None) or ""
        if place == self.module and inspect.isfunction(target):
            return Reader(target).most()
        data = isinstance(target, type) and (is_dataclass(target) or issubclass(target, Exception))
        return int(place.partition(".")[0] in OURS and not place.startswith(SHOWING) and not data)

    def target(self, node: ast.expr) -> Any:
        """What a name, or an attribute of a module or a class, stands for; None for methods of values."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        owner = self.target(node.value) if isinstance(node, ast.Attribute) else None
        return getattr(owner, node.attr, None) if isinstance(owner, ModuleType | type) else None

    def ends(self, statement: ast.stmt) -> bool:
        """Whether nothing comes after it: it returns, raises, or calls what never comes back."""
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            target = self.target(statement.value.func)
            return inspect.isfunction(target) and inspect.signature(target).return_annotation is NoReturn
        return isinstance(statement, ast.Return | ast.Raise)


def bound(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Any]]:
    """(name, what it stands for) of everything that an import binds."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield alias.asname or alias.name.partition(".")[0], import_module(alias.name.partition(".")[0])
        else:
            module = import_module(node.module or "")
            in_it = hasattr(module, alias.name)
            value = getattr(module, alias.name) if in_it else import_module(f"{node.module}.{alias.name}")
            yield alias.asname or alias.name, value


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_makes_one_call(verb: str) -> None:
    assert Reader(VERBS[verb]).most() == 1


def in_a_row(name: str) -> None:
    run = orchestrator.open_run(name)
    orchestrator.analyse(run)


def in_one_another(name: str) -> None:
    orchestrator.analyse(orchestrator.open_run(name))


def of_a_room(name: str) -> None:
    from orchestrator.results.run import conclude

    conclude(*open_run("runs", name))


def in_a_loop(name: str) -> None:
    for run in (name, name):
        orchestrator.open_run(run)


def in_a_comprehension(name: str) -> list[Any]:
    return [orchestrator.open_run(run) for run in (name, name)]


def by_a_helper(name: str) -> None:
    in_one_another(name)


def after_a_branch(name: str) -> None:
    if name:
        orchestrator.open_run(name)
    with open(name):
        orchestrator.analyse(name)


def either(name: str) -> None:
    if name == "a":
        orchestrator.open_run(name)
    elif name == "b":
        end_as(lambda: orchestrator.resume(name))
    else:
        orchestrator.analyse(name)


def returning(name: str) -> Any:
    if name:
        return orchestrator.open_run(name)
    return orchestrator.runs() if name is None else orchestrator.open_run("a")


def ending(name: str) -> None:
    if name:
        end_as(lambda: orchestrator.resume(name))
    orchestrator.analyse(name)


@pytest.mark.parametrize(
    "function",
    [in_a_row, in_one_another, of_a_room, in_a_loop, in_a_comprehension, by_a_helper, after_a_branch],
)
def test_two_calls_are_seen(function: Callable[..., Any]) -> None:
    assert Reader(function).most() == 2


@pytest.mark.parametrize("function", [either, returning, ending])
def test_branches_that_exclude_each_other_are_one_call(function: Callable[..., Any]) -> None:
    assert Reader(function).most() == 1
