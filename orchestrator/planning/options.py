"""Options of a launch, checked together with its space: every problem at once."""

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from pydantic import ValidationError

from tune_spaces.schema.load import Loaded, load
from tune_spaces.schema.models import Space, resolve
from tune_spaces.schema.validation import from_validation
from workloads.errors import Problem, UserError, nearest, several


@dataclass(frozen=True)
class Options:
    """What the command line changes in a space; None leaves the space's own value."""

    preset: str | None = None
    search: str | None = None
    points: int | None = None
    scheduler: str | None = None
    select_by: str | None = None
    workers: int | None = None
    min_workers: int | None = None
    cpus_per_worker: float | None = None
    gpus_per_worker: float | None = None
    share: str | None = None
    seed: int | None = None
    seeds: int | None = None
    classes: list[str] = field(default_factory=list)
    images: str | None = None
    auxiliary: list[str] = field(default_factory=list)  # NAME or NAME=PATH of a source of auxiliary images
    set: list[str] = field(default_factory=list)  # KEY=VALUE of the workload's config


class Keywords(TypedDict, total=False):
    """The same as keywords of the functions of `orchestrator`, with what says where a launch works."""

    search: str | None
    points: int | None
    scheduler: str | None
    select_by: str | None
    workers: int | None
    min_workers: int | None
    cpus_per_worker: float | None
    gpus_per_worker: float | None
    share: str | None
    seed: int | None
    seeds: int | None
    classes: list[str]
    images: str | None
    method: str | None
    auxiliary: list[str]
    cpus: int | None
    slots: int | None


class Arguments(Keywords, total=False):
    """What `launch`, `plan` and `submit` take alike; see `orchestrator.launch`."""

    preset: str | None
    name: str | None
    config: Mapping[str, Any] | Sequence[str]
    data_dir: str | Path
    tracking_uri: str | None


PLACES = {  # option -> key of the space
    "search": ("search", "kind"),
    "points": ("search", "points"),
    "seeds": ("seeds",),
    "scheduler": ("scheduler", "kind"),
    "select_by": ("select_by",),
    "workers": ("resources", "workers"),
    "min_workers": ("resources", "min_workers"),
    "cpus_per_worker": ("resources", "cpus_per_worker"),
    "gpus_per_worker": ("resources", "gpus_per_worker"),
    "share": ("resources", "share"),
    "images": ("data", "path"),
}


def literal(text: str) -> Any:
    """`8` -> 8, `1e-3` -> 0.001, `(1, 2)` -> a tuple, anything else stays text: nothing is ever run."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # all that it raises for odd text
        return text


def apply_options(space: Space, options: Options) -> Space:
    """The resolved space with the options written in. Raises UserError with everything wrong."""
    problems: list[Problem] = []
    presets = tuple(space.presets) or (space.preset,)  # without presets there is nothing another name could scale
    if options.preset is not None and options.preset not in presets:
        problems.append(Problem("--preset", f"no preset {options.preset!r}; {nearest(options.preset, presets)}"))
        options = Options(**{**vars(options), "preset": None})
    try:
        scaled = resolve(space.model_copy(update={"preset": options.preset or space.preset}))
    except ValidationError as error:
        raise several([*problems, *from_validation(error, Space)]) from None
    values = scaled.model_dump()
    for option, path in PLACES.items():
        if (value := getattr(options, option)) is not None:
            inner = values
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
    if options.points is not None and options.search is None:
        values["search"]["kind"] = "random"
    if options.classes:
        values["data"]["classes"] = options.classes
    if options.auxiliary:
        limits = {source["max_images"] for source in values["data"]["auxiliary"]} or {None}
        pairs = [item.partition("=")[::2] for item in options.auxiliary]
        values["data"]["auxiliary"] = [
            {"name": name, "path": path or None, "max_images": min(limits, key=lambda n: n or math.inf)}
            for name, path in pairs
        ]
    settings = dict(item.partition("=")[::2] for item in options.set)
    problems += [Problem("--set", f"{item!r} is not KEY=VALUE") for item in options.set if "=" not in item]
    if options.seed is not None:
        settings["seed"] = str(options.seed)
    for key, text in settings.items():
        values["axes"].pop(key, None)
        values["fixed"][key] = literal(text)
    try:
        changed = Space.model_validate(values)
    except ValidationError as error:
        raise several([*problems, *from_validation(error, Space)]) from None
    if problems:
        raise several(problems)
    return changed


def load_space(space: str | Path | Space, options: Options) -> tuple[Loaded, Space, str]:
    """(the space as written, as it will run, its preset). space: a name, a file, or one that is in memory already.

    Raises UserError (exit 2) with every problem.
    """
    loaded = Loaded("space", space, "", Path()) if isinstance(space, Space) else load(str(space))
    try:
        return loaded, apply_options(loaded.space, options), options.preset or loaded.space.preset
    except UserError as error:
        raise several(error.problems, loaded.name if isinstance(space, Space) else str(space)) from None
