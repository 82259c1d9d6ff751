"""A launch as it is asked for, its space resolved."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.planning.identity import check_travels
from orchestrator.planning.options import Options
from tune_spaces.published import differences
from tune_spaces.schema import Space
from tune_spaces.schema.load import Loaded
from tune_spaces.schema.models import resolve
from workloads.errors import UserError, closest, nearest
from workloads.keys import schedule_keys
from workloads.registry import method

if TYPE_CHECKING:
    from workloads.data.reading.survey import Survey

DEFAULT_STORAGE, DEFAULT_DATA = "runs", "data"
EXECUTORS = ("ray", "local")


def check_executor(name: str, address: str | None = None) -> None:
    """Raises UserError for an executor that there is not, and for one that is not at the address."""
    if name not in EXECUTORS:
        raise UserError(f"no executor {name!r}", where="--executor", fix=nearest(name, EXECUTORS))
    if name == "local" and address:
        raise UserError("--executor local works in this process, not on a cluster", fix="leave --address out")


def check_storage(storage: str, tracking_uri: str | None) -> None:
    """Raises UserError for a local storage whose path MLflow's database URI would cut off, or read as another one."""
    if tracking_uri or "://" in storage:
        return
    if match := re.search(r"\?|%[0-9A-Fa-f]{2}", storage):
        raise UserError(
            f"the storage's path has {match.group()!r} in it, which the URI of MLflow's database there cannot hold",
            where=f"--storage {storage}",
            fix="choose a folder without it, or name another database by --tracking-uri",
        )


@dataclass(frozen=True)
class Request:
    """Everything that a plan is made of: what a launch is told, and what lay around it then. Raises UserError for an
    executor that there is not, a storage that MLflow cannot write to, and a method that would not travel whole.

    loaded: the space as it is written. space: as it will run, with the preset and the options written into its keys.
    schedule: as `schedule_name` has it. cpus, gpus: of this machine. prepared_images: of the prepared auxiliary set
    that the space names, where it could be read. folder: what lies in the user's folder that the space names, where it
    could be looked at. rates: speeds that earlier runs in the storage have measured, see `plan.speeds_of`. address: of
    a running cluster that this machine belongs to. slots: trials at once; counted from the nodes where absent.
    options: those that the space was resolved with. accept_code: go on with a run that other code has begun.
    """

    loaded: Loaded
    space: Space
    preset: str
    schedule: str
    storage: str
    data_dir: str
    tracking_uri: str | None
    name: str | None
    cpus: int
    gpus: int = 0
    prepared_images: int | None = None
    folder: "Survey | None" = None
    rates: Mapping[str, float] | None = None
    executor: str = "ray"
    address: str | None = None
    slots: int | None = None
    options: Options = field(default_factory=Options)
    accept_code: bool = False

    def __post_init__(self) -> None:
        check_executor(self.executor, self.address)
        check_storage(self.storage, self.tracking_uri)
        check_travels(self.space.workload)

    @property
    def workers(self) -> int:
        """How many train a trial: in this process one does the work of all."""
        return 1 if self.executor == "local" else self.space.resources.workers


def with_whole_paths(space: Space) -> Space:
    """The space with absolute paths of the user's images and files, for the run may be resumed from another folder."""
    data = space.data
    path = None if data.path is None else absolute(data.path)
    auxiliary = tuple(
        source if source.path is None else source.model_copy(update={"path": absolute(source.path)})
        for source in data.auxiliary
    )
    files = method(space.workload).files
    fixed = {key: absolute(file) if file and key in files else file for key, file in space.fixed.items()}
    axes = {
        key: tuple(absolute(file) if file else file for file in values) if key in files else values
        for key, values in space.axes.items()
    }
    whole = data.model_copy(update={"path": path, "auxiliary": auxiliary})
    return space.model_copy(update={"data": whole, "fixed": fixed, "axes": axes})


def absolute(path: str | Path) -> str:
    """Return a path as an absolute one. A URI stays; one of a local file becomes a path. Raises UserError for a URI of
    a kind that nobody knows and for what no path can be."""
    path = str(path)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise UserError(f"no path can be called {path[:100]!a}", fix="give another") from None
    if "://" in path and not path.startswith("file://"):
        check_kind(path)
        return path.rstrip("/")
    return str(Path(path.removeprefix("file://")).expanduser().absolute())


def check_kind(uri: str) -> None:
    """Raises UserError for a URI of a kind that no file system has; what its package is missing for passes."""
    from fsspec import available_protocols

    kind, _, place = uri.partition("://")
    if kind not in available_protocols() or not place:
        headline = f"no file system has addresses like {uri[:100]!a}"
        raise UserError(
            headline, nearest=closest(kind, available_protocols()), fix="give a folder, or such as s3://BUCKET"
        )


def schedule_name(loaded: Loaded, space: Space, preset: str) -> str:
    """Return the preset's name if the resolved space keeps the preset's schedule, otherwise "custom".

    The paper's is kept where at least one point is trained as the paper says; the report judges the winner's.
    """
    if preset == "paper":

        def far(point: dict[str, Any]) -> int:
            return len(differences(space, space.config(point)))

        points = space.points()
        if space.search.kind == "optuna":  # any point may be chosen: the one that is nearest to the paper's
            points = [{key: min(space.along(key), key=far)[key] for key in space.axes}]
        kept = any(not far(point) for point in points)
        return "paper" if kept else "custom"
    scaled = resolve(loaded.space.model_copy(update={"preset": preset}))
    config, expected = space.config({}), scaled.config({})
    keys = schedule_keys(config)
    kept = all(key not in space.axes and getattr(config, key) == getattr(expected, key) for key in keys)
    return preset if kept and space.data.max_train_images == scaled.data.max_train_images else "custom"
