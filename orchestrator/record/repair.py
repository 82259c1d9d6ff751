"""A damaged ledger goes on from what is whole: lines that are not as they were written are left out, and kept aside."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from upath import UPath

from orchestrator.planning.request import absolute
from orchestrator.record.events import TrialMoved
from orchestrator.record.heartbeat import is_alive, launcher_lock
from orchestrator.record.ledger import apply, decode, fold, format_1_events, segments
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import DONE, RunState, State
from workloads.errors import Kind, UserError
from workloads.files import damaged_file, write_atomically


@dataclass(frozen=True)
class Repair:
    """dropped: file, line and why, of every line that is left out. kept: lines that stay. files: where the damaged
    files are kept. done: whether the ledger was written."""

    dropped: list[str] = field(default_factory=list)
    kept: int = 0
    files: list[str] = field(default_factory=list)
    done: bool = False


def repair_run(run: str, storage: str, *, really: bool) -> Repair:
    """Write the ledger of a run again without its damaged lines; a damaged file stays beside it as NAME.damaged.

    What such a line said is made up for by the next `resume`, from the files of the trials. really: without it nothing
    is written. Raises UserError where there is no such ledger, where its first event is damaged, so that nobody knows
    what was asked, and where its launcher lives.
    """
    paths = RunPaths(absolute(storage), run)
    if not segments(paths.ledger):
        raise UserError(f"no ledger to repair of {run!r}", where=str(paths.ledger), fix="--storage says where it is")
    if is_alive(paths):
        raise UserError(f"the run {run!r} is going on", fix="wait for its end, or stop it", kind=Kind.REFUSED)
    with launcher_lock(paths):
        return repair(paths, really)


def begun_under_format_1(paths: RunPaths) -> RunState:
    """What the one file of format 1 says, where a run was begun under it; else nothing."""
    old = paths.format_1_ledger
    return fold(event for event, _ in format_1_events(old)) if old.exists() else RunState()


def repair(paths: RunPaths, really: bool) -> Repair:
    """As `repair_run`, of a run that nobody else writes to."""
    repaired, state, unsure = Repair(done=really), begun_under_format_1(paths), set[str]()
    good: dict[UPath, list[bytes]] = {file: [] for file in segments(paths.ledger)}
    for file, number, line in lines_of(paths):
        where = f"{file}, line {number}"
        try:
            event = decode(line.decode(), where)
            if isinstance(event, TrialMoved) and event.state in DONE and event.trial in unsure:
                raise ValueError("what it rests on may have been in a damaged line")
            apply(state, event)
        except ValueError as error:  # damaged, not UTF-8, or what cannot have happened without a line before it
            repaired.dropped.append(f"{where}: {error.args[0] if isinstance(error, UserError) else error}")
            unsure |= {trial.id for trial in state.trials.values() if trial.state == State.RUNNING}
        else:
            good[file].append(line + b"\n")
    if state.opening is None:
        fix = f"move {paths.ledger} away and launch it again under its name: what its trials have left is taken up"
        raise UserError("the first event is damaged: what was asked is not known", str(paths.ledger), fix=fix)
    for file, lines in good.items():
        content, whole = file.read_bytes(), b"".join(lines)
        if content != whole:
            kept = free_name(file)
            repaired.files.append(str(kept))
            if really:
                write_atomically(kept, content)
                write_atomically(file, whole)
    return Repair(repaired.dropped, sum(map(len, good.values())), repaired.files, really)


def lines_of(paths: RunPaths) -> Iterator[tuple[UPath, int, bytes]]:
    """(file, number from 1 on, line) of every segment; a last line that was cut short among them."""
    for file in segments(paths.ledger):
        for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
            if line:
                yield file, number, line


def free_name(file: UPath) -> UPath:
    """Where a damaged file is kept; those of earlier repairs stay."""
    first, number = damaged_file(file), 2
    kept = first
    while kept.exists():
        kept, number = first.with_name(f"{first.name}-{number}"), number + 1
    return kept
