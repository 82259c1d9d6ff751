"""Finds spaces by name and loads a user's own space file."""

import ast
import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

import tune_spaces
from tune_spaces.schema.models import Space
from tune_spaces.schema.part import LOADING
from tune_spaces.schema.validation import from_validation
from workloads.errors import Problem, UserError, nearest, several
from workloads.files import warn_of_other_writers
from workloads.registry import look_in

SPACES = (
    "sweep_digits", "sweep_cifar10", "sweep_fashion_mnist", "fashion_mnist_small", "sweep_mnist",
    "sweep_imagenet10", "sweep_textures", "ablation_position_mnist", "ablation_digits", "ood_cifar10",
    "ood_digits", "figures_cifar10", "figures_mnist", "figures_digits", "calibrate_digits", "flow_digits",
    "flow_fashion_digits", "flow_digits_fashion", "flow_general", "flow_cifar10", "flow_cifar10_outlier",
    "flow_cifar10_classes", "flow_cifar10_one_class", "flow_cifar100", "flow_svhn", "flow_mnist",
    "flow_fashion_mnist", "flow_brats", "flow_patch", "flow_dense", "sweep_flow", "klods_digits",
    "klods_digits_fashion", "klods_fashion_digits", "klods_cifar10", "klods_cifar100", "klods_svhn",
    "klods_celeba", "klods_fashion_mnist", "patch_mvtec", "patch_digits",
    "own_patch_memory", "own_mlsad", "own_flow", "own_klods",
)  # fmt: skip
TEMPLATES = "own_"
"""Templates for folders of the user's begin so; what follows is the method."""


@dataclass(frozen=True)
class Loaded:
    """A space with the name its runs will carry and the docstring that says what it asks."""

    name: str
    space: Space
    doc: str
    source: Path


def source_of(name: str) -> Path:
    """The file of a built-in space. Raises UserError with the nearest name."""
    if name not in SPACES:
        raise several([Problem("space", f"no space {name!r}; {nearest(name, SPACES)} (or the path of a .py file)")])
    return next(Path(tune_spaces.__file__).parent.glob(f"*/{name}.py"))


def doc_of(source: Path) -> str:
    """A space's docstring, read without running it."""
    return ast.get_docstring(ast.parse(source.read_text())) or ""


def questions() -> dict[str, str]:
    """Every built-in space -> the question it answers."""
    return {name: doc_of(source_of(name)).splitlines()[0] for name in SPACES}


def chosen_space(
    space: str | Path | Space | None, method: str | None = None, images: str | None = None
) -> str | Path | Space:
    """The space, or where none is named the template for a folder of the user's images, by its method.

    Raises UserError for neither, for both a space and a method, and for a method without a template.
    """
    methods = [name.removeprefix(TEMPLATES) for name in SPACES if name.startswith(TEMPLATES)]
    if space is not None and method is not None:
        raise UserError("a space names its method", where="--method", fix="leave the space or --method out")
    if space is None and images is None:
        raise UserError("there is neither a space nor a folder of images", fix="name a space, or give --images FOLDER")
    if method is not None and method not in methods:
        raise several([Problem("--method", f"no template {method!r}; {nearest(method, methods)}")])
    return f"{TEMPLATES}{method or 'patch_memory'}" if space is None else space


def copy_space(name: str, target: Path) -> None:
    """Copy a built-in space to a new .py file. Raises UserError for an unknown space, and a target that cannot be."""
    source = source_of(name)
    if target.suffix != ".py" or target.exists():
        why = "exists already" if target.exists() else "must end in .py"
        raise UserError(f"{target} {why}", fix="choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source.read_text())


def load(name_or_path: str) -> Loaded:
    """A built-in space by name, or the `SPACE` of a Python file of the user's.

    The file is run, as any Python config is: launch only files you trust. Raises UserError with everything wrong.
    """
    built_in = not name_or_path.endswith(".py")
    source = source_of(name_or_path) if built_in else Path(name_or_path)
    if not source.is_file():
        raise several([Problem("space", f"no file {str(source)!r}")])
    try:
        place = f"tune_spaces.{source.parent.name}.{name_or_path}"
        module = importlib.import_module(place) if built_in else run_file(source)
    except ValidationError as error:
        raise several(from_validation(error, Space), str(source)) from None
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise several([Problem("space", f"{type(error).__name__}: {error}{line}")], str(source)) from error
    space = getattr(module, "SPACE", None)
    if not isinstance(space, Space):
        raise several([Problem("SPACE", "the file must define SPACE = Space(...)")], str(source))
    return Loaded(source.stem, space, module.__doc__ or "", source)


def run_file(source: Path) -> ModuleType:
    look_in(source.parent, *source.parent.glob("code/*"))  # a method of the user's lies beside it, or as a run keeps it
    warn_of_other_writers(source)
    spec = importlib.util.spec_from_file_location("user_space", source)
    if spec is None or spec.loader is None:
        raise several([Problem("space", f"{str(source)!r} is no Python file")])
    module = importlib.util.module_from_spec(spec)
    token = LOADING.set(True)
    try:
        spec.loader.exec_module(module)
    finally:
        LOADING.reset(token)
    return module
