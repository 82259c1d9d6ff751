"""From what is asked for, and what lies around it, to a request. Nothing heavy is imported: planning takes a second."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator.clusters.connection import check_address, is_remote
from orchestrator.clusters.submission import refuse_own_folders
from orchestrator.data.auxiliary.manifest import prepared_images
from orchestrator.execution.checks import check_kept_modules
from orchestrator.execution.executor import Executor
from orchestrator.planning.cluster_size import Forecast, forecast
from orchestrator.planning.options import Changes, Options, load_space
from orchestrator.planning.plan import plan_of
from orchestrator.planning.request import Request, absolute, schedule_name, with_whole_paths
from orchestrator.record.paths import RunPaths, check_run_name
from orchestrator.record.provenance import all_cpus, gpu_count
from orchestrator.record.rates import read_rates
from orchestrator.record.runs import tracking_of
from orchestrator.record.state import RunState
from orchestrator.record.tracking.store import check_store
from tune_spaces.schema import Data, Space
from tune_spaces.schema.load import Loaded, chosen_space
from workloads.errors import Problem, nearest, several

if TYPE_CHECKING:
    from workloads.data.reading.survey import Survey

APART = ("cpus", "slots", "method")
"""Options that change nothing in the space: those of the machine, and which template is the space."""


def request_of(
    space: str | Path | Space | None = None,
    *,
    preset: str | None = None,
    config: Mapping[str, Any] | Sequence[str] = (),
    storage: str | Path = "runs",
    data_dir: str | Path = "data",
    tracking_uri: str | None = None,
    name: str | None = None,
    executor: str | Executor = "ray",
    address: str | None = None,
    **options: Any,
) -> Request:
    """A launch as it is asked for. options: as `Keywords` has them. config: by key, or each as KEY=VALUE.

    Raises UserError with everything wrong.
    """
    check_address(address)
    if name is not None:
        check_run_name(name)
    apart, changes = checked(options)
    settings = [f"{key}={plain(config[key])!r}" for key in config] if isinstance(config, Mapping) else list(config)
    chosen_options = Options(preset=preset, set=settings, **changes)
    named = chosen_space(space, apart["method"], chosen_options.get("images"))
    loaded, resolved, chosen = load_space(named, chosen_options)
    if is_remote(address):
        refuse_own_folders(resolved.data, str(data_dir))
    else:
        check_store(absolute(storage), tracking_uri)
    space = with_whole_paths(resolved)
    return Request(
        loaded=loaded,
        space=space,
        preset=chosen,
        schedule=schedule_name(loaded, resolved, chosen),
        storage=absolute(storage),
        data_dir=absolute(data_dir),
        tracking_uri=tracking_uri,
        name=name,
        slots=apart["slots"],
        **surroundings(absolute(storage), loaded.name, chosen, space, executor, address, apart["cpus"]),
        options=chosen_options,
    )


def forecast_of(
    space: str | Path | Space,
    options: Mapping[str, Any],
    nodes: Sequence[int],
    *,
    gpu: str | None = None,
    gpus_per_node: int = 1,
    cpus_per_node: int = 8,
    rate: float | None = None,
    preset: str | None = None,
    storage: str | Path = "runs",
) -> Forecast:
    """What a space takes on so many equal nodes; see `planning.cluster_size.forecast`. options: as of `request_of`.

    Raises UserError as the two do.
    """
    options = dict(options) | {"cpus": cpus_per_node}
    if gpu and options.get("gpus_per_worker") is None:
        options["gpus_per_worker"] = 1.0
    planned = plan_of(request_of(space, preset=preset, storage=storage, **options))
    return forecast(planned, nodes, gpu, gpus_per_node, cpus_per_node, rate)


def checked(options: Mapping[str, Any]) -> tuple[dict[str, Any], Changes]:
    """(options of `APART`, what changes the space). Raises UserError, with the nearest name, for others."""
    known = list(Changes.__annotations__)
    apart = {name: options.get(name) for name in APART}
    changes = {name: value for name, value in options.items() if name not in APART}
    if unknown := [name for name in changes if name not in known]:
        raise several([Problem(name, f"no such option; {nearest(name, [*known, *APART])}") for name in unknown])
    return apart, cast(Changes, changes)


def plain(value: Any) -> Any:
    """A value of a config as Python's own: a scalar of NumPy's is none."""
    return value.item() if hasattr(value, "item") else value


def request_to_resume(
    paths: RunPaths,
    state: RunState,
    *,
    executor: str | Executor,
    tracking_uri: str | None,
    address: str | None,
    cpus: int | None,
    slots: int | None,
    accept_code: bool = False,
) -> Request:
    """A run's launch once more, its space and data as the ledger has them. Raises UserError."""
    check_address(address)
    check_kept_modules(state.identity, paths.run, accept_code)
    opened, space, tracking = state.opened, state.space, tracking_of(state, tracking_uri)
    check_store(paths.storage, tracking)
    return Request(
        loaded=Loaded(opened.name, space, opened.doc, Path(opened.source)),
        space=space,
        preset=opened.preset,
        schedule=opened.schedule,
        storage=paths.storage,
        data_dir=opened.data_dir,
        tracking_uri=tracking,
        name=paths.run,
        slots=slots,
        accept_code=accept_code,
        **surroundings(paths.storage, opened.name, opened.preset, space, executor, address, cpus),
    )


def surroundings(
    storage: str, name: str, preset: str, space: Space, executor: str | Executor, address: str | None, cpus: int | None
) -> dict[str, Any]:
    """Where a request is carried out, and what is measured or counted there. Raises UserError for a user's folder that
    cannot be used."""
    return {
        "cpus": cpus or all_cpus(),
        "gpus": gpu_count(),
        "prepared_images": prepared_images(space.data.auxiliary),
        "folder": folder_of(space.data),
        "rates": read_rates(storage, name, preset, space.resources),
        "executor": executor if isinstance(executor, str) else executor.name,
        "address": address,
    }


def folder_of(data: Data) -> "Survey | None":
    """What lies in the user's folder, nothing of it decoded. Raises UserError for all that is wrong with it."""
    if data.name != "folder" or not Path(str(data.path)).expanduser().is_dir():
        return None  # who reads the images says so: a plan may be made where they are not
    from workloads.data.reading.survey import refuse, survey

    listed = survey(Path(str(data.path)).expanduser(), data.rules)
    refuse(listed.problems)
    return listed
