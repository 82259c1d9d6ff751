"""A prepared set as a user asks for it: looked at, claimed and made, on this machine or as a job on a cluster."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator.clusters.connection import check_address
from orchestrator.clusters.jobs import option_words
from orchestrator.clusters.session import ray_session
from orchestrator.clusters.submission import Job, submit_words
from orchestrator.data.auxiliary.deduplication import deduplication_with
from orchestrator.data.auxiliary.manifest import Manifest, Seen, ShardLayout, in_set
from orchestrator.data.auxiliary.prepare import Task, begin, make
from orchestrator.data.auxiliary.sources import open_source
from orchestrator.planning.code_digest import content_hash
from orchestrator.planning.request import DEFAULT_DATA, absolute
from orchestrator.record.provenance import all_cpus
from workloads.errors import UserError


@dataclass(frozen=True)
class Preparation:
    """What to make and of what; a field is the option of `data prepare` that has its name."""

    kind: str
    source: str
    out: str
    side: int
    hold_out: float
    shard_mb: float
    choose: str | None = None
    exclude: Sequence[Path] = ()
    without: Sequence[str] = ()
    near: int | None = None
    column: str | None = None
    data_dir: str = DEFAULT_DATA


def prepare(
    preparation: Preparation, progress: AbstractContextManager[Seen], cpus: int | None, address: str | None
) -> Manifest:
    """Make the set, or what is missing of it, with a Ray where anything is.

    progress: entered while shards are made. cpus: cores for it; all where None. address: None, or that of a cluster
    which this machine belongs to. Raises UserError as `begin` and `make` do, and for near copies of nothing.
    """
    check_address(address)
    task = begun(preparation)
    cores = None if address else cpus or all_cpus()
    session = nullcontext() if task.done() else ray_session(cores, address, dashboard=False)
    with session, progress as seen:
        return make(task, seen)


def begun(preparation: Preparation) -> Task:
    """What was asked for, looked at and claimed."""
    if preparation.near is not None and not preparation.without:
        raise UserError("near copies of what?", where="--near", fix="give --without, too")
    source = open_source(
        preparation.kind, absolute(preparation.source), side=preparation.side, choose=preparation.choose,
        duplicates=[Path(file) for file in preparation.exclude], column=preparation.column,
    )  # fmt: skip
    data_dir = Path(preparation.data_dir)
    left_out = (
        deduplication_with(preparation.without, data_dir, preparation.side, preparation.near)
        if preparation.without
        else None
    )
    layout = ShardLayout.of(preparation.side, round(preparation.shard_mb * 1e6))
    return begin(source, absolute(preparation.out), layout, left_out, preparation.hold_out)


def submit_preparation(preparation: Preparation, address: str) -> Job:
    """Make it in a job on a cluster, where paths must be what they are here. Raises UserError as `submit_words`."""
    return submit_words(command_words(preparation), f"prepare-{content_hash(absolute(preparation.out), 8)}", address)


def command_words(preparation: Preparation) -> list[str]:
    """The command line that asks for it on a machine of the cluster: paths are whole, a default data folder is not."""
    whole = replace(
        preparation,
        source=absolute(preparation.source),
        out=absolute(preparation.out),
        exclude=[Path(absolute(file)) for file in preparation.exclude],
        without=[in_set(*name.partition("=")[::2]) for name in preparation.without],
    )
    options = asdict(whole) | {
        "data_dir": None if preparation.data_dir == DEFAULT_DATA else absolute(preparation.data_dir)
    }
    return ["data", "prepare", options.pop("kind"), *option_words(options), "--address", "auto", "--plain"]
