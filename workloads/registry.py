"""Which methods there are: those below, installed ones (entry points), and any Python class by its import path.

A method of your own needs no line here: a space names it as ``module:Class``. Its module, one file or one package, is
looked for in `PLACES`, then wherever Python looks; the current folder comes last.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from workloads.errors import UserError, nearest
from workloads.files import warn_of_other_writers
from workloads.flows.method import Flows
from workloads.klods.method import Klods
from workloads.method import FittedMethod, Method
from workloads.mlsad.method import MLSAD
from workloads.patch_memory.method import PatchMemory

WORKLOADS: dict[str, type[Method]] = {
    "flow": Flows,
    "klods": Klods,
    "mlsad": MLSAD,
    "patch_memory": PatchMemory,
}
GROUP = "anomaly_orchestrator.methods"
"""Entry points of this group are methods, by their names."""
PLACES: list[Path] = []
"""Folders where modules of methods from outside the tree are looked for first."""


def look_in(*folders: Path) -> None:
    """From here on, look for modules of methods in these folders first, in place of those named before."""
    PLACES[:] = dict.fromkeys(folder.absolute() for folder in folders)


def installed() -> dict[str, EntryPoint]:
    """Methods of installed packages."""
    return {point.name: point for point in entry_points(group=GROUP)}


def method(name: str) -> Any:
    """The class of a method: of the table above, of an installed package, or by its import path ``module:Class``.

    Raises UserError, with what is there, for a name that leads to none.
    """
    return WORKLOADS[name] if name in WORKLOADS else outside(name, tuple(PLACES))


def code_of(name: str) -> Path | None:
    """The file or folder that holds a method from outside the tree: its top module. None for one of the table."""
    if name in WORKLOADS:
        return None
    method(name)
    top = top_module(name)
    place = place_of(top, PLACES)
    spec = PathFinder.find_spec(top, [str(place)]) if place else sys.modules[top].__spec__
    assert spec is not None
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0] if folders else str(spec.origin))


def is_installed(code: Path) -> bool:
    """Whether the file or folder of a method lies where Python looks anyway: in no place, nor the current folder."""
    return code.parent not in (*PLACES, Path.cwd())


def top_module(name: str) -> str:
    """The name of the module, or package, that a method from outside the tree lies in. Raises UserError."""
    return reference(name).partition(":")[0].partition(".")[0]


def place_of(top: str, places: Sequence[Path]) -> Path | None:
    """The first place that has a top module; None where none has."""
    return next((place for place in places if PathFinder.find_spec(top, [str(place)])), None)


def reference(name: str) -> str:
    """``module:Class`` of a method from outside the tree. Raises UserError for what is no such thing."""
    points = {} if ":" in name else installed()
    if name in points:
        return points[name].value.partition(" ")[0]
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        hint = nearest(name, [*WORKLOADS, *points])
        raise UserError(f"no such workload; {hint}", fix="one of your own is named by its import path, 'module:Class'")
    return name


@lru_cache(maxsize=64)
def outside(name: str, places: tuple[Path, ...]) -> type[Method]:
    """A method from outside the tree. Raises UserError."""
    module_name, _, attribute = reference(name).partition(":")
    module = imported(module_name, places)
    value = getattr(module, attribute, None)
    if value is None:
        classes = [key for key, item in vars(module).items() if is_method(item)]
        hint = nearest(attribute, classes) if classes else "it defines no method"
        raise UserError(f"{module_name} has no {attribute!r}; {hint}", where=str(module.__file__))
    if problem := lacking(value):
        raise UserError(f"{name} is no method: {problem}", where=str(module.__file__))
    return value  # type: ignore[no-any-return]


def imported(name: str, places: tuple[Path, ...]) -> Any:
    """A module, from the first place that has it. Raises UserError where it is nowhere, or importing it fails."""
    top = name.partition(".")[0]
    place = place_of(top, places)
    if place is not None and not lies_in(sys.modules.get(top), place):
        for loaded in [key for key in sys.modules if key.partition(".")[0] == top]:
            del sys.modules[loaded]  # of the same name, from another run's folder
    if place is not None and top not in sys.modules:
        spec = PathFinder.find_spec(top, [str(place)])
        warn_of_other_writers(Path(str(spec and spec.origin)))
    try:
        with on_path(place):
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"importing {name} fails: {error}", where=f"{place or name}") from error
        raise no_module(error.name, (*places, Path.cwd())) from None
    except Exception as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = f"{type(error).__name__}: {error}{line}"
        raise UserError(f"importing {name} fails: {reason}", where=str(place or name)) from error


def no_module(name: str, places: Sequence[Path]) -> UserError:
    """What to say of a module that is nowhere."""
    files = [file.stem for place in places for file in place.glob("*.py")]
    folders = [file.parent.name for place in places for file in place.glob("*/__init__.py")]
    hint = f"; {nearest(name, sorted({*files, *folders}))}" if files or folders else ""
    fix = "put it beside the space file, into the current folder, or install it"
    return UserError(f"no module {name!r}{hint}", where=f"looked in {', '.join(map(str, places))}", fix=fix)


@contextmanager
def on_path(place: Path | None) -> Iterator[None]:
    """Import from a place before all others; without one, from the current folder after all others."""
    if place is None:
        sys.path.append(str(Path.cwd()))
    else:
        sys.path.insert(0, str(place))
    try:
        yield
    finally:
        sys.path.pop() if place is None else sys.path.remove(str(place))


def lies_in(module: Any, place: Path) -> bool:
    """Whether a module was loaded from a place; true of None, which was not loaded at all."""
    if module is None:
        return True
    folders = list(getattr(module, "__path__", ()))
    file = folders[0] if folders else getattr(module, "__file__", None)
    return file is not None and Path(file).parent.absolute() == place


def is_method(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Method) and value not in (Method, FittedMethod)


def lacking(value: Any) -> str:
    """Why a value cannot be a method; empty where it can."""
    if not is_method(value):
        return "it must be a class that extends workloads.method.Method or FittedMethod"
    missing = sorted(value.__abstractmethods__ | {key for key in ("name", "Config") if not hasattr(value, key)})
    if missing:
        return f"it lacks {', '.join(missing)}"
    config = value.Config
    if not (is_dataclass(config) and getattr(config, "__dataclass_params__").frozen):  # noqa: B009 - not in its stub
        return "its Config must be a frozen dataclass"
    if "seed" not in {item.name for item in fields(config)}:
        return "its Config has no `seed: int`, which all randomness comes from"
    try:
        inspect.signature(value.Config).bind()
    except TypeError as error:
        return f"every key of its Config needs a default: {error}"
    return ""
