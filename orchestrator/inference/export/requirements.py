"""What has to be installed where an exported MLflow model runs."""

import ast
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from orchestrator.inference.export.card import Export
from orchestrator.planning.code_digest import all_distributions
from workloads.errors import Kind, UserError
from workloads.patch_memory.config import LITE, LITE_PACKAGES, NO_NETWORK
from workloads.patch_memory.method import PatchMemory
from workloads.registry import WORKLOADS, installed

PACKAGES = (
    "mlflow", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "pillow", "safetensors",
    "matplotlib", "threadpoolctl", "filelock",
)  # fmt: skip
"""What `workloads` imports, and what serves it."""
FEATURES = dict.fromkeys(NO_NETWORK, ()) | {LITE: LITE_PACKAGES}
"""Packages that features of a patch memory come from."""
OURS = {"workloads", "orchestrator", "tune_spaces"}


def requirements(export: Export) -> list[str]:
    """Pinned as they are installed here: `PACKAGES`, and what the method comes from and imports. Raises UserError for
    weights that no package brings along, and for an installed method whose package is not known."""
    further = [*of_features(export.detector.method), *of_installed(export.method), *of_code(export.code)[0]]
    names = {name.lower().replace("_", "-"): name for name in [*further, *PACKAGES]}
    try:
        return [f"{name}=={version(name).partition('+')[0]}" for name in names]
    except PackageNotFoundError as error:
        raise UserError(f"the package {error.name} is not installed", kind=Kind.ENVIRONMENT) from error


def unpinned(export: Export) -> list[str]:
    """What the files of a method from outside the tree import and no requirement brings, as a sentence."""
    modules = of_code(export.code)[1]
    sentence = "files of the method import what this model does not bring along; install it beside the model where the"
    return [f"{sentence} method needs it: {', '.join(modules)}"] if modules else []


def of_features(method: Any) -> tuple[str, ...]:
    if not isinstance(method, PatchMemory):
        return ()
    features = method.config.features
    if method.config.checkpoint or features not in FEATURES:
        raise UserError(
            f"the features {features!r} rest on a file of weights that a model cannot bring along",
            fix=f"use features that a package brings: {LITE}, or 'random'",
        )
    return FEATURES[features]


def of_installed(method: str) -> list[str]:
    """The package that an installed method comes from; none of the other methods."""
    if method in WORKLOADS or ":" in method:
        return []
    distribution = installed()[method].dist
    if distribution is None:
        raise UserError(
            f"no installed package is known to bring the method {method!r}, so a model cannot require it",
            fix="install it as a package, or name the method by its import path, 'module:Class'",
            kind=Kind.ENVIRONMENT,
        )
    return [str(distribution.name)]


def of_code(code: dict[str, bytes]) -> tuple[list[str], list[str]]:
    """Of a method's own files: the packages that they import from, and the modules that no package brings."""
    modules = set().union(*(imported(content) for name, content in code.items() if name.endswith(".py")))
    modules -= {name.partition("/")[0].removesuffix(".py") for name in code} | sys.stdlib_module_names | {"workloads"}
    packages = all_distributions() if modules else {}
    brought = {name for module in modules - OURS for name in packages.get(module, ())}
    return sorted(brought), sorted(name for name in modules if name in OURS or name not in packages)


def imported(content: bytes) -> set[str]:
    """Top names of all modules that a file imports."""
    nodes = list(ast.walk(ast.parse(content)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}
