"""What runs take on disk, and what of it nobody needs any more.

Losers' weights go by one rule: of a run that has come to its end, the network states of every trial that is over and is
not the winner. Their numbers and scores stay, nothing trains or loads them again, and a run that goes on has no use of
them.
Where the run is complete, so do Ray's own files of it. What several runs share goes only when it is asked for, and no
run of the storage needs it.
"""

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from upath import UPath

from orchestrator.planning.request import absolute
from orchestrator.record.heartbeat import is_alive, launcher_lock, life_of
from orchestrator.record.ledger import read_events, read_state
from orchestrator.record.paths import SHARED, RunPaths, is_run_name
from orchestrator.record.runs import names, open_run
from orchestrator.record.state import DONE, Outcome, RunState
from workloads.errors import Kind, UserError, nearest

REMOVED = ".removed"
"""Ending of what is being removed."""
PARTS = ("weights", "scores", "analyses", "report", "code", "ray", "ledger")
"""What a run's bytes are; everything else is "other"."""
YOUNG_S = 3600.0
"""Seconds: what is shared and younger may belong to a launch that starts, and stands in no ledger yet."""


@dataclass(frozen=True)
class RunOnDisk:
    """A run of a storage. life: as of `record.heartbeat.life_of`, or "unreadable". auroc: the winner's mean over the
    classes, in [0, 1]; leak: whether the winner was picked by it. sizes: bytes by what they are, bytes: their sum.
    losers: bytes of the weights that `clean` removes."""

    name: str
    life: str
    space: str = ""
    preset: str = ""
    trials: int = 0
    ended: int = 0
    auroc: float | None = None
    leak: bool = False
    command: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    losers: int = 0
    error: str = ""


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
        return described(paths, state_of(paths))
    except UserError as error:
        sizes = sizes_of(paths)
        return RunOnDisk(paths.run, "unreadable", sizes=sizes, bytes=sum(sizes.values()), error=error.headline)


def state_of(paths: RunPaths) -> RunState:
    """A run's state, from its ledger alone. Raises UserError where it cannot be read."""
    state = read_state(paths, read_events(paths))
    if state.opening is None:
        raise UserError(f"the ledger of {paths.run!r} has no first event")
    return state


def described(paths: RunPaths, state: RunState) -> RunOnDisk:
    """A run that can be read."""
    opened, best, sizes = state.opened, state.winner, sizes_of(paths)
    return RunOnDisk(
        name=paths.run,
        life=life_of(paths, state),
        space=opened.name,
        preset=opened.preset,
        trials=state.expected,
        ended=sum(trial.state in DONE for trial in state.trials.values()),
        auroc=best.metric("oracle") if best else None,
        leak=state.leak,
        command=opened.provenance.command,
        sizes=sizes,
        bytes=sum(sizes.values()),
        losers=sum(item.bytes for item in losers(paths, state)),
    )


def remove_runs(storage: str, runs: Sequence[str], *, really: bool) -> Removal:
    """Whole runs; what they share with others stays, and so does what MLflow has of them. really: without it nothing
    goes. Raises UserError for an unknown run, one that has a live launcher, and one whose folder is a link."""
    place = absolute(storage)
    known = names(place)
    chosen = [RunPaths(place, run) for run in dict.fromkeys(runs)]
    for paths in chosen:
        if paths.run not in known:
            raise UserError(f"no run {paths.run!r} in {place}", details=nearest(paths.run, known), fix="see `runs ls`")
        check_removable(paths)
    items = [Item(str(paths.folder), "run", size_of(paths.folder)) for paths in chosen]
    remarks = ["what MLflow has of them stays", "what they share stays: `runs gc --shared` removes what no run needs"]
    return removal(chosen, items, really, remarks)


def check_removable(paths: RunPaths) -> None:
    """Raises UserError where a run is going on, which only its heartbeat tells on a remote storage, whether or not its
    ledger can be read; and where its folder is a link."""
    if is_alive(paths):
        fix = f"stop it, or wait for its end: `python -m orchestrator status {paths.run}`"
        raise UserError(f"the run {paths.run!r} is going on: it has a live launcher", fix=fix, kind=Kind.REFUSED)
    if paths.folder.is_symlink():
        fix = "remove the link and what it leads to by hand"
        raise UserError(f"the folder of {paths.run!r} is a link", where=str(paths.folder), fix=fix)


def clean(
    storage: str, runs: Sequence[str] = (), *, keep_weights: bool = False, shared: bool = False, really: bool = False
) -> Removal:
    """Remove what nobody needs, of some runs or all: losers' weights, Ray's own files, and what is shared and unused.

    keep_weights: losers' weights stay. shared: also stages, images and baselines that no run of the storage needs.
    really: without it nothing goes. Raises UserError for an unknown run, for one of `runs` that cannot be read, and
    with `shared` where any run of the storage cannot be read or has a live launcher.
    """
    place = absolute(storage)
    every = [RunPaths(place, name) for name in names(place)]
    items, remarks, ended = [], [], []
    chosen = [open_run(place, run) for run in dict.fromkeys(runs)]
    for paths in () if runs else every:
        try:
            state = state_of(paths)
            _ = state.winner  # by the space's criterion, and this version may not know the space
            chosen.append((paths, state))
        except UserError as error:
            remarks.append(f"{paths.run} cannot be read, nothing of it goes: {error.headline}")
    for paths, state in chosen:
        if state.closed is None or state.closed.outcome not in (Outcome.COMPLETE, Outcome.SOME_FAILED):
            remarks.append(f"{paths.run} is {life_of(paths, state)}: nothing of it goes before its end")
            continue
        ended.append(paths)
        items += [] if keep_weights else losers(paths, state)
        items += ray_files(paths, state)
    if shared:
        free = [*unused(place, [(paths, state_of(paths)) for paths in every])]
        young = {item.path for item in free if time.time() - changed(UPath(item.path)) < YOUNG_S}
        items += [item for item in free if item.path not in young]
        if young:
            what = f"{len(young)} of what no run needs are younger than an hour"
            remarks.append(f"{what}, and stay: a launch that starts may need them")
    return removal(ended, items, really, remarks)


def losers(paths: RunPaths, state: RunState) -> list[Item]:
    """Network states of the trials that are over and have lost; none where there is no winner."""
    best = state.winner
    lost = [trial.id for trial in state.trials.values() if best and trial.state in DONE and trial.id != best.id]
    units = [paths.trial(name).units for name in lost]
    folders = [*units, *(aside(folder) for folder in units)]  # whose removal was cut short
    what = f"weights of trials of {paths.run} that have lost"
    return [Item(str(folder), what, size_of(folder)) for folder in folders if folder.exists()]


def ray_files(paths: RunPaths, state: RunState) -> list[Item]:
    """Of a complete run: Ray reads them only to go on."""
    folder, closed = paths.folder / "ray", state.closed
    if closed is None or closed.outcome != Outcome.COMPLETE or not folder.exists():
        return []
    return [Item(str(folder), f"Ray's own files of {paths.run}", size_of(folder))]


def unused(storage: str, runs: Iterable[tuple[RunPaths, RunState]]) -> Iterator[Item]:
    """Shared stages, images and baselines that none of `runs`, all of a storage, needs. Raises UserError while any
    launcher shows a sign of life, be it before the first event of its ledger."""
    shared = RunPaths(storage, "any")
    needed: set[str] = set()
    for name in [folder.name for folder in shared.root.iterdir()] if shared.root.exists() else ():
        if is_run_name(name) and name not in SHARED and is_alive(RunPaths(storage, name)):
            fix = "wait for its end, or leave --shared out"
            raise UserError(f"the run {name!r} is going on, and shares what lies here", fix=fix, kind=Kind.REFUSED)
    for _, state in runs:
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


def changed(path: UPath) -> float:
    """When a file, or the last that changed of all in a folder and itself, was written: seconds since 1970."""
    return max(float(item.stat().st_mtime) for item in (path, *path.rglob("*")))


def removal(paths: Sequence[RunPaths], items: Sequence[Item], really: bool, remarks: Sequence[str]) -> Removal:
    """Remove the items, if really, while nobody else can launch the runs at `paths`."""
    if really:
        with ExitStack() as stack:
            for run in paths:
                stack.enter_context(launcher_lock(run))
            for item in items:
                remove_whole(UPath(item.path))
    return Removal(items, really, remarks)


def remove_whole(folder: UPath) -> None:
    """Take a folder out of its place at once, then remove it: one whose removal is cut short counts as gone. The next
    removal beside it takes the rest away."""
    if isinstance(folder, Path) and folder.is_dir():
        for left in folder.parent.glob(f".*{REMOVED}"):
            take_away(left)
        if folder.exists():
            take_away(folder.rename(aside(folder)))
    else:
        folder.fs.rm(folder.path, recursive=True)


def take_away(folder: Path) -> None:
    """Remove a folder that another process may be removing, too."""
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def aside(folder: UPath) -> UPath:
    """Where a folder is while it is removed."""
    return folder.with_name(f".{folder.name}{REMOVED}")


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
