"""Options of a launch, checked together with its space: every problem at once."""

import ast
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pydantic import ValidationError

from tune_spaces.schema.load import Loaded, load
from tune_spaces.schema.models import Space, resolve
from tune_spaces.schema.validation import from_validation
from workloads.errors import Problem, UserError, nearest, several


class Changes(TypedDict, total=False):
    """What a launch changes in its space; None, or nothing, leaves the space's own value."""

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
    auxiliary: list[str]  # NAME or NAME=PATH of a source of auxiliary images


class Options(Changes, total=False):
    """The same as the command line has them."""

    preset: str | None
    set: list[str]  # KEY=VALUE of the workload's config


class Keywords(Changes, total=False):
    """The same as keywords of the functions of `orchestrator`, with what says where a launch works."""

    method: str | None
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
    preset = options.get("preset")
    if preset is not None and preset not in presets:
        problems.append(Problem("--preset", f"no preset {preset!r}; {nearest(preset, presets)}"))
        preset = None
    try:
        scaled = resolve(space.model_copy(update={"preset": preset or space.preset}))
    except ValidationError as error:
        raise several([*problems, *from_validation(error, Space)]) from None
    values = scaled.model_dump()
    for option, path in PLACES.items():
        if (value := options.get(option)) is not None:
            inner = values
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
    if options.get("points") is not None and options.get("search") is None:
        values["search"]["kind"] = "random"
    if classes := options.get("classes"):
        values["data"]["classes"] = classes
    if auxiliary := options.get("auxiliary"):
        limits = {source["max_images"] for source in values["data"]["auxiliary"]} or {None}
        pairs = [item.partition("=")[::2] for item in auxiliary]
        values["data"]["auxiliary"] = [
            {"name": name, "path": path or None, "max_images": min(limits, key=lambda n: n or math.inf)}
            for name, path in pairs
        ]
    changes = options.get("set", [])
    settings = dict(item.partition("=")[::2] for item in changes)
    problems += [Problem("--set", f"{item!r} is not KEY=VALUE") for item in changes if "=" not in item]
    if (seed := options.get("seed")) is not None:
        settings["seed"] = str(seed)
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
        return loaded, apply_options(loaded.space, options), options.get("preset") or loaded.space.preset
    except UserError as error:
        raise several(error.problems, loaded.name if isinstance(space, Space) else str(space)) from None
