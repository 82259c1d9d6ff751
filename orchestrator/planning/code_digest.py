"""What code means: digests of the modules that numbers depend on, which only an edit of what they do changes.

A digest is of a syntax tree without comments, docstrings, formatting, the order of imports, `TYPE_CHECKING` blocks,
annotations (but those of the attributes of dataclasses and their like, which make them what they are), and without
imports that nothing else in the module needs. The walk is our own, over names of nodes and fields that are not empty,
so that Python 3.11, 3.12 and 3.13 agree. It runs nothing of what it reads, and needs nothing but the standard library.
"""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec, resolve_name
from typing import Any

NO_MEANING = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params"})
"""Fields of nodes that change nothing a module does."""
INERT_BASES = frozenset({"ABC", "Generic", "Protocol", "object"})
"""Classes that do nothing with the annotations of those that extend them."""
LENGTH = 12
NO_NUMBER = ("workloads", "workloads.errors", "workloads.files", "workloads.keys")
"""The door, messages, files and marks of keys: modules that units import and that change no number."""
SHARED = ("workloads.data.", "workloads.scoring.", "workloads.training.")
"""What these rooms import beside torch and numpy holds tables and files, and changes no number either."""
ALWAYS = ("torch", "numpy")
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Imported name -> package, where they differ; for others all installed packages are searched, which takes a while."""
Importing = ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Code:
    """What numbers are computed with. modules: name -> digest of what it does. packages: name -> major.minor."""

    modules: dict[str, str]
    packages: dict[str, str]

    @property
    def digest(self) -> str:
        return content_hash(asdict(self))


Roots = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""(roots, shallow modules, further imported names), as `code_of` takes them."""


class Codes(dict[Roots, Code]):
    """The code that begins from roots, read when it is first asked for."""

    def __missing__(self, roots: Roots) -> Code:
        self[roots] = code_of(*roots)
        return self[roots]


def content_hash(value: Any, length: int = 12) -> str:
    """Hex digest of plain data; the order of keys does not matter. Raises TypeError for other than plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def plain(values: Any) -> Any:
    """The same data in JSON's own types."""
    return json.loads(json.dumps(values))


def code_of(roots: Iterable[str], shallow: Collection[str] = (), adds: Iterable[str] = ()) -> Code:
    """The code that begins from `roots`; shallow: as `followed` has it. adds: further imported names.

    Raises ModuleNotFoundError for a root that is nowhere.
    """
    roots = list(roots)
    sources = {name: source for name, source in followed(roots, shallow).items() if name not in NO_NUMBER}
    of_methods = [source for name, source in sources.items() if not name.startswith(SHARED)]
    names = {*ALWAYS, *adds, *packages_of(of_methods)} - {root.partition(".")[0] for root in roots}
    installed = (installed_version(name) for name in sorted(names))
    return Code({name: source.meaning for name, source in sources.items()}, dict(filter(None, installed)))


def installed_version(name: str) -> tuple[str, str] | None:
    """(package, its major.minor) of an imported name; None where no installed package has it."""
    for package in distributions(name):
        try:
            numbers = re.findall(r"\d+", version(package))
        except PackageNotFoundError:
            continue
        return package, ".".join(numbers[:2])
    return None


def distributions(name: str) -> Iterator[str]:
    """Packages that an imported name may come from, the likeliest first."""
    yield DISTRIBUTIONS.get(name, name)
    yield from all_distributions().get(name, ())


@cache
def all_distributions() -> Mapping[str, list[str]]:
    """Imported name -> packages. It opens every package that is installed here."""
    return packages_distributions()


def joined(codes: Iterable[Code]) -> Code:
    """All of several codes together."""
    codes = list(codes)
    return Code(
        {name: digest for code in codes for name, digest in sorted(code.modules.items())},
        {name: numbers for code in codes for name, numbers in sorted(code.packages.items())},
    )


@dataclass(frozen=True)
class Source:
    """A module as it is read. imports: names of what is imported at its top; inner: inside its functions.

    Such a name may be of a module or of something in it; relative ones begin with their dots.
    """

    meaning: str
    imports: tuple[str, ...]
    inner: tuple[str, ...]


def followed(roots: Iterable[str], shallow: Collection[str] = ()) -> dict[str, Source]:
    """The modules that importing `roots`, and running what is in them, brings in, by name and in the names' order.

    Imports are followed within the top packages of the roots; others are for `packages_of`. Those inside functions are
    not followed of the `shallow` modules, nor of packages that only stand around a module. Raises ModuleNotFoundError
    for a root that is nowhere.
    """
    waiting = [(root, root not in shallow) for root in roots]
    homes = {root.partition(".")[0] for root, _ in waiting}
    sources: dict[str, Source] = {}
    seen: set[tuple[str, bool]] = set()
    find = finder()
    for root, _ in waiting:
        if find(root) is None:
            raise ModuleNotFoundError(f"no module named {root!r}", name=root)
    while waiting:
        name, inside = waiting.pop()
        spec = find(name)
        if spec is None or (name, inside) in seen:
            continue
        seen.add((name, inside))
        is_package = spec.submodule_search_locations is not None
        sources[name] = source = read(source_of(spec), is_package)
        package = name if is_package else name.rpartition(".")[0]
        for item in (*source.imports, *source.inner) if inside else source.imports:
            full = resolve_name(item, package) if item.startswith(".") else item
            module = full if find(full) else full.rpartition(".")[0]  # else it is something in a module
            waiting += [(module, module not in shallow)] if full.partition(".")[0] in homes else []
        waiting += [(around, False) for around in parents(name)[:-1]]
    return dict(sorted(sources.items()))


def packages_of(sources: Iterable[Source]) -> set[str]:
    """Top names of what modules import from elsewhere, the standard library apart."""
    imports = [item for source in sources for item in (*source.imports, *source.inner) if not item.startswith(".")]
    return {item.partition(".")[0] for item in imports} - sys.stdlib_module_names


def parents(name: str) -> list[str]:
    """A dotted name and those of all packages around it."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def finder() -> Callable[[str], ModuleSpec | None]:
    """Of a module's name, where it lies, without importing it or a package around it; None where it is nowhere.

    Each name is looked for once.
    """

    @cache
    def find(name: str) -> ModuleSpec | None:
        around = name.rpartition(".")[0]
        if not around:
            return find_spec(name)
        package = find(around)
        if package is None or package.submodule_search_locations is None:
            return None
        return PathFinder.find_spec(name, package.submodule_search_locations)

    return find


def source_of(spec: ModuleSpec) -> str:
    """The text of a module; empty where it is a folder without `__init__.py` or compiled."""
    get_source = getattr(spec.loader, "get_source", None)
    return (get_source(spec.name) if get_source else None) or ""


@lru_cache(maxsize=512)
def read(text: str, package: bool = False) -> Source:
    """The meaning and the imports of a module's text; package: whether it is an `__init__.py`, whose imports are for
    others. Raises SyntaxError."""
    tree = ast.parse(text)
    top: list[str] = []
    inner: list[str] = []
    for node, in_function in imports_of(tree.body):
        (inner if in_function else top).extend(names_of(node))
    return Source(meaning(tree, package), tuple(dict.fromkeys(top)), tuple(dict.fromkeys(inner)))


def imports_of(body: Iterable[ast.AST], in_function: bool = False) -> Iterator[tuple[Importing, bool]]:
    """Import statements that run, and whether they stand inside a function."""
    for node in body:
        if isinstance(node, Importing):
            yield node, in_function
        elif isinstance(node, ast.If) and is_type_checking(node):
            yield from imports_of(node.orelse, in_function)
        else:
            inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(ast.iter_child_nodes(node), inside)


def names_of(node: Importing) -> Iterator[str]:
    """Of everything that a statement imports; the module alone for a star."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    module = "." * node.level + (node.module or "")
    for alias in node.names:
        yield module if alias.name == "*" else f"{module}{'' if module.endswith('.') else '.'}{alias.name}"


def is_type_checking(node: ast.If) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    return getattr(node.test, "attr", getattr(node.test, "id", "")) == "TYPE_CHECKING"


def reads_annotations(node: ast.ClassDef) -> bool:
    """Whether a class may make something of its annotations: it is decorated, or extends what may."""
    names = {
        base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        for base in map(plain_base, node.bases)
    }
    return bool(node.decorator_list or node.keywords or names - INERT_BASES)


def plain_base(node: ast.expr) -> ast.expr:
    """`Generic` of `Generic[T]`."""
    return node.value if isinstance(node, ast.Subscript) else node


class Stripped(ast.NodeTransformer):
    """Takes out of a tree, in place, what changes nothing that it does."""

    def __init__(self) -> None:
        self.read: set[int] = set()  # annotated attributes of classes that make something of them

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if reads_annotations(node):
            self.read |= {id(item) for item in node.body if isinstance(item, ast.AnnAssign)}
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if id(node) in self.read and "ClassVar" not in ast.unparse(node.annotation):
            return self.generic_visit(node)
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_If(self, node: ast.If) -> Any:
        if not is_type_checking(node):
            return self.generic_visit(node)
        rest = ast.Module(node.orelse, [])
        self.visit(rest)
        return rest.body

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        node.values = [item for item in node.values if not (isinstance(item, ast.Constant) and item.value == "")]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:  # noqa: ARG002
        return None


def meaning(tree: ast.Module, package: bool) -> str:
    """Digest of what a module does. The tree is used up."""
    Stripped().visit(tree)
    imports = [node for node in tree.body if isinstance(node, Importing)]
    rest = [node for node in tree.body if not isinstance(node, Importing)]
    needed = None if package else names_in(tree)
    text = sorted(line for node in imports for line in bindings(node, needed))
    text += [written(node, needed) for node in rest]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:LENGTH]


def names_in(tree: ast.Module) -> set[str]:
    """All names that a module uses, those in `__all__` among them."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def bound(alias: ast.alias) -> str:
    """The name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def bindings(node: Importing, needed: Collection[str] | None) -> Iterator[str]:
    """What an import statement binds, a line a name. needed: names that count, where not all do."""
    of = "" if isinstance(node, ast.Import) else "." * node.level + (node.module or "") + " "
    for alias in node.names:
        if of != "__future__ " and (needed is None or bound(alias) in needed or alias.name == "*"):
            yield f"import {of}{alias.name} as {bound(alias)}"


def written(value: Any, needed: Collection[str] | None) -> str:
    """A node, or what stands in one of its fields, as text that does not depend on the version of Python."""
    if isinstance(value, Importing):
        return ";".join(bindings(value, needed))
    if isinstance(value, ast.Constant):
        return f"{type(value.value).__name__}:{value.value!a}"
    if isinstance(value, ast.AST):
        there = [(name, item) for name, item in ast.iter_fields(value) if name not in NO_MEANING]
        full = sorted((name, written(item, needed)) for name, item in there if item is not None and item != [])
        return f"{type(value).__name__}({','.join(f'{name}={text}' for name, text in full)})"
    if isinstance(value, list):
        return f"[{','.join(written(item, needed) for item in value)}]"
    return ascii(value)
