"""The truth about a run: an append-only file. Everything else (MLflow, reports, status) is made from it.

`<run>/ledger/` holds segments, 000001.jsonl and so on. On a local disk one is appended to. An object store can only put
whole objects, so there every append is a segment of its own, and no segment is ever written again. A line is JSON with
the format's version first and the SHA-256 of all before it last:

    {"v": 2, "time": ..., "event": ..., ..., "sha256": ...}

What an earlier version has left in `<run>/ledger.jsonl` comes before all segments (see `format_1`).
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Signal
from threading import Lock
from typing import Any

from pydantic import TypeAdapter
from upath import UPath

from orchestrator.planning.identity import TrialPlan
from orchestrator.record.events import (
    AnalysisEnded,
    Closed,
    CodeAccepted,
    Event,
    Launched,
    Mishap,
    Opened,
    RungReached,
    StageEnded,
    State,
    TrialAdded,
    TrialMoved,
)
from orchestrator.record.format_1 import upgrade
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import DONE, RunState, TrialState
from workloads.errors import Kind, UserError
from workloads.files import naming
from workloads.training.precision import upgraded, upgraded_space

VERSION = 2
SUM = ', "sha256": "'
REPAIR = "`runs repair RUN` goes on from what is whole; or bring the file back from a copy"
EVENTS: dict[str, type[Event]] = {
    "opened": Opened,
    "launched": Launched,
    "stage": StageEnded,
    "trial_added": TrialAdded,
    "trial": TrialMoved,
    "rung": RungReached,
    "analysis": AnalysisEnded,
    "mishap": Mishap,
    "code_accepted": CodeAccepted,
    "closed": Closed,
}
"""Name in the ledger -> event. Stored: these names stay."""
NAMES = {kind: name for name, kind in EVENTS.items()}
ADAPTERS: dict[str, TypeAdapter[Event]] = {name: TypeAdapter(kind) for name, kind in EVENTS.items()}
LEGAL: dict[State, set[State]] = {
    State.PENDING: {State.RUNNING, State.STOPPED, State.FAILED, State.INTERRUPTED},
    State.RUNNING: {State.FINISHED, State.STOPPED, State.FAILED, State.INTERRUPTED, State.RUNNING, State.PENDING},
    State.INTERRUPTED: {State.RUNNING, State.STOPPED, State.FAILED, State.INTERRUPTED},
    State.FAILED: {State.RUNNING, State.FAILED},
    State.FINISHED: set(),
    State.STOPPED: set(),
}


def encode(event: Event) -> str:
    """A line of the ledger, its newline included."""
    text = json.dumps({"v": VERSION, **to_plain(event)})[:-1]
    return f'{text}{SUM}{hashlib.sha256(text.encode()).hexdigest()}"}}\n'


def decode(line: str, where: str) -> Event:
    """The event of a line. Raises UserError, which names `where`, for a damaged line and for one of a later format."""
    text, _, checksum = line.rpartition(SUM)
    whole = checksum == f'{hashlib.sha256(text.encode()).hexdigest()}"}}'
    try:
        values = json.loads(line)
        version = values.pop("v")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise damaged(where) from None
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"the ledger is of format {version}, and this code reads formats up to {VERSION}",
            where=where,
            fix="use the version of the orchestrator that wrote it, or a later one",
            kind=Kind.ENVIRONMENT,
        )
    if not whole:
        raise damaged(where)
    del values["sha256"]
    return event_of(values, where)


def damaged(where: str) -> UserError:
    return UserError(
        "a line of the ledger is damaged: it is not what was written",
        where=where,
        fix=REPAIR,
        kind=Kind.ENVIRONMENT,
    )


def event_of(values: dict[str, Any], where: str) -> Event:
    try:
        return from_plain(values)
    except ValueError as error:
        raise UserError(
            "a line of the ledger is no event", where=where, details=str(error), kind=Kind.ENVIRONMENT
        ) from error


def to_plain(event: Event) -> dict[str, Any]:
    """An event in JSON's own types, `time` and its name first."""
    values = asdict(event)
    return {"time": values.pop("time"), "event": NAMES[type(event)], **values}


def from_plain(values: Mapping[str, Any]) -> Event:
    """The event of a line. Raises ValueError for what is no event."""
    rest = dict(values)
    name = rest.pop("event", None)
    if not isinstance(name, str) or name not in EVENTS:
        raise ValueError(f"{name!r} is no event")
    event = ADAPTERS[name].validate_python(rest)
    if not isinstance(event, Opened):
        return event
    if not isinstance(event.space.get("workload"), str):
        raise ValueError("its space names no workload")
    return in_keys_of_today(event)


def in_keys_of_today(opened: Opened) -> Opened:
    """An event of an earlier version with the keys that its method has today."""
    if "autocast" not in str(opened.space) + str(opened.trials[:1]):
        return opened
    workload = opened.space["workload"]
    trials = tuple(
        replace(trial, point=upgraded(workload, trial.point), config=upgraded(workload, trial.config))
        for trial in opened.trials
    )
    return replace(opened, space=upgraded_space(opened.space), trials=trials)


def segments(folder: UPath) -> list[UPath]:
    """In their order; none where the folder is not there."""
    return sorted(folder.glob("*.jsonl"), key=lambda path: path.name) if folder.exists() else []


def read_files(paths: list[UPath]) -> list[bytes]:
    """Contents in order; an object store is asked for all of them at once."""
    if not paths or isinstance(paths[0], Path):
        return [path.read_bytes() for path in paths]
    contents = paths[0].fs.cat([path.path for path in paths])
    return [contents[path.path] for path in paths] if isinstance(contents, dict) else [contents]


def read_events(paths: RunPaths) -> list[Event]:
    """All whole lines of a run's ledger. A last line cut short by a crash is dropped: it was never acted upon.

    Raises UserError, which names file and line, for anything else that cannot be read.
    """
    return [event for event, _ in located_events(paths)]


def located_events(paths: RunPaths) -> Iterator[tuple[Event, str]]:
    """Each event with its file and line."""
    if paths.format_1_ledger.exists():
        yield from format_1_events(paths.format_1_ledger)
    files = segments(paths.ledger)
    for file, content in zip(files, read_files(files), strict=True):
        *lines, tail = content.split(b"\n")
        if tail and file != files[-1]:
            raise damaged(f"{file}, line {len(lines) + 1}")
        for number, line in enumerate(lines, 1):
            where = f"{file}, line {number}"
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise damaged(where) from None
            yield decode(text, where), where


def format_1_events(file: UPath) -> Iterator[tuple[Event, str]]:
    """Events of the first format, which has no checksums."""
    *lines, tail = file.read_bytes().split(b"\n")
    for number, line in enumerate([*lines, tail], 1):
        where = f"{file}, line {number}"
        try:
            values = upgrade(json.loads(line.decode())) if line else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if number <= len(lines):  # the last one may be cut short
                raise damaged(where) from None
            return
        if values is not None:
            yield event_of(values, where), where


def read_state(paths: RunPaths, events: Iterable[Event]) -> RunState:
    """The state after all events of a run's ledger. Raises UserError, which names file and line, where one of them
    cannot have happened."""
    try:
        return fold(events)
    except ValueError:
        run = RunState()
        for event, where in located_events(paths):
            try:
                apply(run, event)
            except ValueError as error:
                headline = "a line of the ledger says what cannot have happened"
                raise UserError(headline, where, fix=REPAIR, details=str(error), kind=Kind.ENVIRONMENT) from error
        return run


def fold(events: Iterable[Event]) -> RunState:
    """The state after all events."""
    run = RunState()
    for event in events:
        apply(run, event)
    return run


def apply(run: RunState, event: Event) -> None:
    """Take one event in. Raises ValueError, before anything changes, for what cannot have happened."""
    match event:
        case Opened():
            run.opening = event
            run.trials = {trial.id: state_of(trial) for trial in event.trials}
        case Launched():
            run.launches += 1
            run.closed = None
        case StageEnded():
            run.stages[event.key] = event
        case TrialAdded():
            run.trials[event.trial.id] = state_of(event.trial)
        case TrialMoved() | RungReached() if event.trial not in run.trials:
            raise ValueError(f"the run has no trial {event.trial}")
        case RungReached():
            run.trials[event.trial].rungs[event.rung] = event.metrics
        case TrialMoved():
            trial = run.trials[event.trial]
            if event.state not in LEGAL[trial.state]:
                raise ValueError(f"trial {trial.id} cannot go from {trial.state} to {event.state}")
            trial.state, trial.error = event.state, event.error
        case AnalysisEnded():
            run.analyses[f"{event.name}/{event.target}"] = event
        case CodeAccepted():
            run.accepted.append(event)
            for trial in run.trials.values():
                if trial.state not in DONE:
                    trial.stages = {unit: event.stage_keys.get(key, key) for unit, key in trial.stages.items()}
        case Closed():
            run.closed = event


def state_of(trial: TrialPlan) -> TrialState:
    return TrialState(trial.id, trial.point, trial.stages, trial.config)


class Ledger:
    """Appends events and keeps the state they add up to. One writer: the launcher that holds the lock."""

    def __init__(self, paths: RunPaths) -> None:
        self.folder = paths.ledger
        self.events: list[Event] = read_events(paths)
        self.lock = Lock()  # whoever follows the ledger takes snapshots in a thread of its own
        self.changed = Signal()  # set after every event; whoever follows the ledger clears it
        self.folder.mkdir(parents=True, exist_ok=True)
        files = segments(self.folder)
        self.number = int(files[-1].stem) if files else 0  # of the newest segment; there may be gaps before it
        if files and isinstance(self.folder, Path):
            drop_torn_line(files[-1])
        self.state: RunState = read_state(paths, self.events)

    def append(self, event: Event) -> None:
        """Record one event durably before anything acts on it.

        Raises ValueError for an illegal move, and what writing raises; then nothing has happened.
        """
        event = replace(event, time=datetime.now(UTC).isoformat(timespec="milliseconds"))
        line = encode(event)
        with self.lock:
            apply(self.state, event)
            try:
                self.write(line)
            except BaseException:
                self.state = fold(self.events)
                raise
            self.events.append(event)
        self.changed.set()

    def write(self, line: str) -> None:
        local = isinstance(self.folder, Path)
        number = max(1, self.number) if local else self.number + 1
        segment = self.folder / f"{number:06d}.jsonl"
        if local:
            if self.number and not segment.exists():
                raise removed(segment)
            self.extend(segment, line)
        else:
            try:
                segment.fs.pipe_file(segment.path, line.encode(), mode="create")
            except FileExistsError:
                raise FileExistsError(f"{segment} is there: another launcher writes this ledger") from None
        self.number = number

    @staticmethod
    def extend(segment: UPath, line: str) -> None:
        """Append a line to a local segment, all of it or nothing."""
        with naming(segment), segment.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line.encode()) < len(line.encode()):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except BaseException:  # a full disk may have taken half, and the next line must not follow that
                file.truncate(before)
                raise

    def snapshot(self) -> RunState:
        """A state of its own for another thread: nobody changes it while it is read."""
        with self.lock:
            events = list(self.events)
        return fold(events)


def removed(place: UPath) -> UserError:
    headline = "the ledger was removed while its run goes on"
    fix = "bring its folder back, then go on with `resume`; without it the run begins anew"
    return UserError(headline, str(place), fix=fix, kind=Kind.ENVIRONMENT)


def drop_torn_line(file: Any) -> None:
    """Cut off what a writer that died has left of its last line."""
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)
