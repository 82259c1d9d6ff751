"""A value is named for what it holds: words that name nobody's value are bound nowhere."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BANNED = {
    "found",
    "said",
    "own",
    "told",
    "asked",
    "looked",
    "meant",
    "given",
    "one",
    "each",
    "wrong",
    "now",
    "here",
    "most",
}
PACKAGES = ("orchestrator", "tune_spaces", "workloads")


def bound_names(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, name) of every variable, argument, attribute, function, class and import that a module binds."""
    names = []
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.append((node.lineno, name))
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.append((node.lineno, name))
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names.append((node.lineno, name))
            case ast.alias(name=name, asname=asname):
                names.append((node.lineno, asname or name))
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_no_banned_name_is_bound(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    banned = [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for file in files
        for line, name in bound_names(ast.parse(file.read_text(encoding="utf-8")))
        if name.lower() in BANNED
    ]
    assert banned == []
