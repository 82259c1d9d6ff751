"""Options that several verbs share, and where storage, data and tracking are when no option says so.

That is what `orchestrator.toml` says, then the environment's variables, then options; the last wins. One file is read:
the one in the folder that the storage lies in. Unless an option or a variable names a storage, that is the current
folder, and the file itself may name one.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from workloads.errors import Problem, UserError, nearest, several

FILE = "orchestrator.toml"
STORAGE, DATA_DIR, TRACKING = "ORCHESTRATOR_STORAGE", "ORCHESTRATOR_DATA_DIR", "ORCHESTRATOR_TRACKING_URI"
MLFLOW = "MLFLOW_TRACKING_URI"
"""MLflow's own variable, which counts where ours is not there."""
KEYS = {"storage": "--storage", "data_dir": "--data-dir", "tracking_uri": "--tracking-uri"}
"""Key of the file -> option."""
VARIABLES = {"storage": (STORAGE,), "data_dir": (DATA_DIR,), "tracking_uri": (TRACKING, MLFLOW)}
MADE_OF = "orchestrator.defaults"
"""Under which a verb's context keeps the file's path and values."""


@dataclass(frozen=True)
class Source:
    """A value, and who has said so: an option, a variable, a file's path, or "default"."""

    value: str | None
    by: str


def read_defaults(file: Path) -> dict[str, str]:
    """What a file says, paths made whole from its folder; nothing where there is none. Raises UserError for what is no
    TOML, for unknown keys with the nearest one, and for values that are no text."""
    if not file.is_file():
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            "the file of defaults is no TOML", str(file), fix="mend or remove it", details=str(error)
        ) from None
    problems = [Problem(key, f"no such key; {nearest(key, KEYS)}") for key in values if key not in KEYS]
    problems += [Problem(key, "must be text") for key in KEYS if key in values and not isinstance(values[key], str)]
    if problems:
        raise several(problems, str(file))
    return {key: text if key == "tracking_uri" else whole(text, file.parent) for key, text in values.items()}


def whole(path: str, folder: Path) -> str:
    """A path of a file in a folder, seen from anywhere. A URI stays."""
    return path if "://" in path else str(folder.absolute() / Path(path).expanduser())


def defaults_beside(storage: str | None) -> tuple[Path, dict[str, str]]:
    """The file beside a storage, in the current folder where none is named, and what it says."""
    folder = Path.cwd() if storage is None or "://" in storage else Path(storage).expanduser().absolute().parent
    return folder / FILE, read_defaults(folder / FILE)


def find_storage(context: typer.Context, value: str) -> str:
    """The storage of a verb; a callback of its option, which is read before the others."""
    if context.resilient_parsing:  # a shell completes words
        return value
    named = origin(context, "storage")
    file, values = defaults_beside(value if named else None)
    context.meta[MADE_OF] = file, values
    return value if named else values.get("storage", value)


def find_default(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    """The value of another option: what the file says, where nobody else does. A callback of the option.

    A run that is there goes on where it was logged to: for that the file is not asked."""
    if context.resilient_parsing:
        return value
    if MADE_OF not in context.meta:  # a verb without a storage
        context.meta[MADE_OF] = defaults_beside(None)
    key, (_, values) = str(parameter.name), context.meta[MADE_OF]
    settled = origin(context, key) or (key == "tracking_uri" and context.params.get("run"))
    return value if settled else values.get(key, value)


def origin(context: typer.Context, key: str) -> str:
    """The option or the variable that a value has come from; empty where none has said anything."""
    source = context.get_parameter_source(key)
    kind = source.name if source else ""
    if kind == "ENVIRONMENT":
        return next(name for name in VARIABLES[key] if os.environ.get(name))
    return KEYS[key] if kind == "COMMANDLINE" else ""


def shown(value: str | None) -> str | None:
    """Without its password."""
    from orchestrator.record.provenance import without_secrets

    return value and without_secrets(value)


def sources_of(context: typer.Context) -> dict[str, Source]:
    """Value and source of each of the three that a verb has."""
    file, values = context.meta[MADE_OF]
    return {
        key: Source(shown(context.params[key]), origin(context, key) or (str(file) if key in values else "default"))
        for key in KEYS
        if key in context.params
    }


Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar=list(VARIABLES["storage"]),
        is_eager=True,
        callback=find_storage,
        help="Folder or URI that holds everything of the runs.",
    ),
]
DataDir = Annotated[
    str,
    typer.Option(
        "--data-dir", envvar=list(VARIABLES["data_dir"]), callback=find_default, help="Folder of the datasets."
    ),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        envvar=list(VARIABLES["tracking_uri"]),
        callback=find_default,
        help="MLflow database or server; SQLite in the storage by default.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", help="A running cluster: http://head:8265 or ray://head:10001 from outside, auto from inside."
    ),
]
Cpus = Annotated[int | None, typer.Option("--cpus", help="CPU cores to use; all by default.", min=1)]
Slots = Annotated[
    int | None, typer.Option("--slots", help="Trials at once on a cluster that grows with the work.", min=1)
]
Executor = Annotated[
    str, typer.Option("--executor", help="ray, or local: in this process, one task after the other, without Ray.")
]
AcceptCode = Annotated[
    bool, typer.Option("--accept-code", help="Go on although code or packages differ; the report will say so.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of live tables.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON with the version of its schema.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors, and these to standard error.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the code of a method from outside the tree that lies in the run.")
]
Run = Annotated[str, typer.Argument(help="Name of a run, as `launch` printed it.")]

DEFAULT_STORAGE, DEFAULT_DATA = "runs", "data"
