"""Runs on disk: what a storage holds and how far each run is."""

import shlex
from pathlib import Path

from upath import UPath

from orchestrator.record import method_code
from orchestrator.record.ledger import read_events, read_state, segments
from orchestrator.record.paths import RunPaths, is_run_name
from orchestrator.record.provenance import this_python, without_secrets
from orchestrator.record.state import RunState
from workloads.errors import Kind, UserError, nearest


def names(storage: str) -> list[str]:
    """Runs of a storage, the newest last."""
    root = UPath(storage)
    if not root.exists():
        return []
    ledgers = {p.name: file for p in root.iterdir() if is_run_name(p.name) and (file := newest_file(p))}
    return sorted(ledgers, key=lambda name: ledgers[name].stat().st_mtime)


def newest_file(folder: UPath) -> UPath | None:
    """What the ledger in a run's folder was last written to; None where it has none."""
    old = folder / "ledger.jsonl"
    files = segments(folder / "ledger") or ([old] if old.exists() else [])
    return files[-1] if files else None


def tracking_of(state: RunState, uri: str | None) -> str | None:
    """The tracking URI to go on with. Raises UserError where the run's own has a password, which is not kept."""
    before = state.opened.tracking_uri
    if uri is None and before and "***" in before:
        raise UserError(f"the run logs to {before}", fix="give --tracking-uri again: its password is not kept")
    return uri or before


def open_run(storage: str, run: str) -> tuple[RunPaths, RunState]:
    """A run's paths and state. Raises UserError (exit 2), with the nearest name, where there is none.

    From here on a method from outside the tree is looked for in the run's copy; nothing is imported yet.
    """
    paths = RunPaths(storage, run)
    state = read_state(paths, read_events(paths))
    if state.opening is None and segments(paths.ledger):
        fix = f"launch it again under the name {run!r}: what its trials have left is taken up"
        raise UserError(f"the ledger of {run!r} has no whole event", str(paths.ledger), fix=fix, kind=Kind.ENVIRONMENT)
    if state.opening is None:
        known = names(storage)
        hint = nearest(run, known) if known else "the storage holds no run"
        raise UserError(f"no run {run!r} in {storage}", details=hint, fix="--storage says where")
    method_code.use(paths, state.opened.space["workload"], state.opened.source)
    return paths, state


def resume_command(run: str, storage: str, address: str | None = None) -> str:
    """What to type to go on with a run."""
    return command("resume", run, storage) + (f" --address {address}" if address else "")


def ui_command(run: str, storage: str, uri: str) -> str:
    """What to type to see a run in MLflow, whose tracking URI is to be typed again where it has a password."""
    return command("ui", run, storage) + " --tracking-uri URI" * (without_secrets(uri) != uri)


def command(verb: str, run: str, storage: str) -> str:
    extra = f" --storage {shlex.quote(storage)}" if storage != str(Path("runs").absolute()) else ""
    return f"{this_python()} -m orchestrator {verb} {run}{extra}"
