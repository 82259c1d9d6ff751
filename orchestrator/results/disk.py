"""What runs take on disk, and what of it nobody needs any more.

Losers' weights go by one rule: of a run that has come to its end, the network states of every trial that is over and is
not the winner. Their numbers and scores stay, nothing trains or loads them again, and a run that goes on has no use of
them.
Where the run is complete, so do Ray's own files of it. What several runs share goes only when it is asked for, and no
run of the storage needs it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from upath import UPath

from orchestrator.planning.request import absolute
from orchestrator.record.heartbeat import launcher_lock, life_of
from orchestrator.record.ledger import fold, read_events
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import names, open_run
from orchestrator.record.state import DONE, Outcome, RunState
from workloads.errors import Kind, UserError, nearest

PARTS = ("weights", "scores", "analyses", "report", "code", "ray", "ledger")
"""What a run's bytes are; everything else is "other"."""


@dataclass(frozen=True)
class RunOnDisk:
    """A run of a storage. life: as of `record.heartbeat.life_of`, or "unreadable". auroc: the winner's mean over the
    classes, in [0, 1]. sizes: bytes by what they are. losers: bytes of the weights that `clean` removes."""

    name: str
    life: str
    space: str = ""
    preset: str = ""
    trials: int = 0
    ended: int = 0
    auroc: float | None = None
    command: str = ""
    sizes: dict[str, int] | None = None
    losers: int = 0
    error: str = ""

    @property
    def bytes(self) -> int:
        return sum((self.sizes or {}).values())


@dataclass(frozen=True)
class Item:
    """Something on disk. what: it is, in words."""

    path: str
    what: str
    bytes: int


@dataclass(frozen=True)
class Removal:
    """What goes, or would go. removed: whether it is gone. remarks: what was left, and why, in sentences."""

    items: Sequence[Item]
    removed: bool
    remarks: Sequence[str] = ()

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


def runs_on_disk(storage: str, run: str | None = None) -> list[RunOnDisk]:
    """All runs of a storage, the newest last; or one. Raises UserError, with the nearest name, where there is none of
    that name. One that cannot be read stands among the others, with its error."""
    place = absolute(storage)
    if run is not None:
        return [described(*open_run(place, run))]
    return [run_at(RunPaths(place, name)) for name in names(place)]


def run_at(paths: RunPaths) -> RunOnDisk:
    """A run of a storage, readable or not."""
    try:
        return described(paths, read_state(paths))
    except UserError as error:
        return RunOnDisk(paths.run, "unreadable", sizes=sizes_of(paths), error=error.headline)


def read_state(paths: RunPaths) -> RunState:
    """A run's state, from its ledger alone. Raises UserError where it cannot be read."""
    state = fold(read_events(paths))
    if state.opening is None:
        raise UserError(f"the ledger of {paths.run!r} has no first event")
    return state


def described(paths: RunPaths, state: RunState) -> RunOnDisk:
    """A run that can be read."""
    opened, best = state.opened, state.winner
    return RunOnDisk(
        name=paths.run,
        life=life_of(paths, state),
        space=opened.name,
        preset=opened.preset,
        trials=len(state.trials),
        ended=sum(trial.state in DONE for trial in state.trials.values()),
        auroc=best.metric("oracle") if best else None,
        command=opened.provenance.command,
        sizes=sizes_of(paths),
        losers=sum(item.bytes for item in losers(paths, state)),
    )


def remove_runs(storage: str, runs: Sequence[str], *, really: bool) -> Removal:
    """Whole runs; what they share with others stays, and so does what MLflow has of them. really: without it nothing
    goes. Raises UserError for an unknown run, and for one that has a live launcher."""
    place = absolute(storage)
    known = names(place)
    for run in runs:
        if run not in known:
            raise UserError(f"no run {run!r} in {place}", details=nearest(run, known), fix="see `runs ls`")
    items = [Item(str(RunPaths(place, run).folder), "run", size_of(RunPaths(place, run).folder)) for run in runs]
    remarks = ["what MLflow has of them stays", "what they share stays: `runs gc --shared` removes what no run needs"]
    return removal([RunPaths(place, run) for run in runs], items, really, remarks)


def clean(
    storage: str, runs: Sequence[str] = (), *, keep_weights: bool = False, shared: bool = False, really: bool = False
) -> Removal:
    """Remove what nobody needs, of some runs or all: losers' weights, Ray's own files, and what is shared and unused.

    keep_weights: losers' weights stay. shared: also stages, images and baselines that no run of the storage needs.
    really: without it nothing goes. Raises UserError for an unknown run, for one that cannot be read, and with `shared`
    where a run of the storage has a live launcher.
    """
    place = absolute(storage)
    every = [RunPaths(place, name) for name in names(place)]
    chosen = [open_run(place, run) for run in runs] or [(paths, read_state(paths)) for paths in every]
    items, remarks, ended = [], [], []
    for paths, state in chosen:
        if state.closed is None or state.closed.outcome not in (Outcome.COMPLETE, Outcome.SOME_FAILED):
            remarks.append(f"{paths.run} is {life_of(paths, state)}: nothing of it goes before its end")
            continue
        ended.append(paths)
        items += [] if keep_weights else losers(paths, state)
        items += ray_files(paths, state)
    if shared:
        items += unused(place, [(paths, read_state(paths)) for paths in every])
    return removal(ended, items, really, remarks)


def losers(paths: RunPaths, state: RunState) -> list[Item]:
    """Network states of the trials that are over and have lost; none where there is no winner."""
    best = state.winner
    lost = [trial.id for trial in state.trials.values() if best and trial.state in DONE and trial.id != best.id]
    folders = [paths.trial(name).units for name in lost]
    what = f"weights of trials of {paths.run} that have lost"
    return [Item(str(folder), what, size_of(folder)) for folder in folders if folder.exists()]


def ray_files(paths: RunPaths, state: RunState) -> list[Item]:
    """Of a complete run: Ray reads them only to go on."""
    folder, closed = paths.folder / "ray", state.closed
    if closed is None or closed.outcome != Outcome.COMPLETE or not folder.exists():
        return []
    return [Item(str(folder), f"Ray's own files of {paths.run}", size_of(folder))]


def unused(storage: str, runs: Iterable[tuple[RunPaths, RunState]]) -> Iterator[Item]:
    """Shared stages, images and baselines that none of `runs`, all of a storage, needs."""
    shared = RunPaths(storage, "any")
    needed: set[str] = set()
    for paths, state in runs:
        if life_of(paths, state) == "running":
            fix = "wait for its end, or leave --shared out"
            raise UserError(f"the run {paths.run!r} is going on, and shares what lies here", fix=fix, kind=Kind.REFUSED)
        identities = (state.opened.identity, state.identity)
        needed |= {key for trial in state.trials.values() for key in trial.stages.values()}
        needed |= {key for trial in state.opened.trials for key in trial.stages.values()}
        needed |= state.stages.keys() | {identity.data[:16] for identity in identities}
        needed |= {key for identity in identities for key in identity.baseline_keys.values()}
    kinds = {"shared stage": shared.stages, "stored images": shared.data, "baseline": shared.baselines}
    for what, root in kinds.items():
        for folder in sorted(root.iterdir()) if root.exists() else ():
            if not any(folder.name.startswith(key) for key in needed):
                yield Item(str(folder), f"{what} that no run needs", size_of(folder))


def removal(paths: Sequence[RunPaths], items: Sequence[Item], really: bool, remarks: Sequence[str]) -> Removal:
    """Remove the items, if really, while nobody else can launch the runs at `paths`."""
    if really:
        with ExitStack() as stack:
            for run in paths:
                stack.enter_context(launcher_lock(run))
            for item in items:
                UPath(item.path).fs.rm(UPath(item.path).path, recursive=True)
    return Removal(items, really, remarks)


def sizes_of(paths: RunPaths) -> dict[str, int]:
    """Bytes of a run by what they are."""
    sizes: dict[str, int] = {}
    for file, size in files_below(paths.folder):
        first, *rest = file.split("/")
        kind = first if first in PARTS else "ledger" if first == "ledger.jsonl" else "other"
        if first == "trials":
            kind = "weights" if "units" in rest[1:2] else "scores"
        sizes[kind] = sizes.get(kind, 0) + size
    return sizes


def size_of(path: UPath) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(size for _, size in files_below(path))


def files_below(folder: UPath) -> Iterator[tuple[str, int]]:
    """(path below the folder, bytes) of every file."""
    root = folder.path.rstrip("/")
    for name, info in folder.fs.find(root, detail=True).items():
        yield name.removeprefix(root).lstrip("/"), info["size"] or 0
