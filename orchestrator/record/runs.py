"""Runs on disk: what a storage holds and how far each run is."""

from upath import UPath

from orchestrator.record.ledger import read_events
from orchestrator.record.paths import RunPaths, is_run_name
from orchestrator.record.state import RunState, fold
from workloads.errors import UserError, nearest


def names(storage: str) -> list[str]:
    """Runs of a storage, the newest last."""
    root = UPath(storage)
    if not root.exists():
        return []
    found = [(p / "ledger.jsonl") for p in root.iterdir() if is_run_name(p.name) and (p / "ledger.jsonl").exists()]
    return [p.parent.name for p in sorted(found, key=lambda p: p.stat().st_mtime)]


def tracking_of(state: RunState, given: str | None) -> str | None:
    """The tracking URI to go on with. Raises UserError where the run's own has a password, which is not kept."""
    before: str | None = state.opened["tracking_uri"]
    if given is None and before and "***" in before:
        raise UserError(f"the run logs to {before}", fix="give --tracking-uri again: its password is not kept")
    return given or before


def open_run(storage: str, run: str) -> tuple[RunPaths, RunState]:
    """A run's places and state. Raises UserError (exit 2), with the nearest name, where there is none."""
    places = RunPaths(storage, run)
    state = fold(read_events(places.ledger))
    if not state.opened:
        known = names(storage)
        hint = nearest(run, known) if known else "the storage holds no run"
        raise UserError(f"no run {run!r} in {storage}", details=hint, fix="--storage says where")
    return places, state
