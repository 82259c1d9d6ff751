"""The truth about a run: an append-only JSONL file. Everything else (MLflow, reports, status) is made from it."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from upath import UPath

from orchestrator.record.paths import RunPaths
from orchestrator.record.state import RunState, apply, fold


def read_events(path: UPath) -> list[dict[str, Any]]:
    """All whole lines. A last line cut short by a crash is dropped: it was never acted upon."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    events = [json.loads(line) for line in lines[:-1] if line]
    if lines[-1]:  # no newline at the end: the writer died in the middle
        with suppress(json.JSONDecodeError):
            events.append(json.loads(lines[-1]))
    return events


class Ledger:
    """Appends events and keeps the state they add up to. One writer: the launcher that holds the lock."""

    def __init__(self, places: RunPaths) -> None:
        self.path = places.ledger
        self.events = read_events(self.path)
        self.state: RunState = fold(self.events)
        self.lock = Lock()  # Tune's callbacks and the main thread both write
        if self.events and self.is_torn():
            self.rewrite()

    def is_torn(self) -> bool:
        return not self.path.read_text().endswith("\n")

    def rewrite(self) -> None:
        self.path.write_text("".join(json.dumps(e) + "\n" for e in self.events))

    def append(self, event: str, **values: Any) -> None:
        """Record one event durably before anything acts on it. Raises ValueError for an illegal move."""
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **values}
        with self.lock:
            apply(self.state, record)
            self.events.append(record)
            if not isinstance(self.path, Path):  # object stores cannot append: the single writer writes it whole
                self.rewrite()
                return
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
