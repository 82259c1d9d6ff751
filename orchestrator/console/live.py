"""A run while it goes: a live table on a terminal, a line now and then elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.console.output import duration, say, short
from orchestrator.console.result_view import (
    numbers_of_trials,
    point_text,
    shown_criterion,
    trial_progress,
    trials_table,
)
from orchestrator.execution.executor import Note
from orchestrator.record.state import RunState, State, TrialState

TERMINAL_EVERY, LINES_EVERY = 0.5, 2.0
"""Seconds between looks at a run."""


@dataclass(frozen=True)
class Bar:
    """How far one kind of task is. done: whole tasks and the fraction of those that run, of `total`."""

    title: str
    done: float
    total: int
    text: str

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0


def bar(title: str, kind: str, ended: Set[str], total: int, notes: Mapping[str, Note]) -> Bar:
    """The bar of all tasks of a kind ("stage", "analysis"): those that have ended, by id, and the notes of the others.

    Workers that share a task are as far as the mean of them.
    """
    others: dict[str, list[Note]] = {}
    for key, note in sorted(notes.items()):
        task = key.rpartition("/")[0]
        if task.startswith(f"{kind}/") and task not in ended:
            others.setdefault(task, []).append(note)
    done = len(ended) + sum(fmean(note.fraction for note in shared) for shared in others.values())
    running = [note.text for shared in others.values() for note in shared if note.fraction < 1]
    return Bar(title, done, total, "; ".join(running))


def bars(state: RunState, notes: Mapping[str, Note], analyses: Sequence[str]) -> list[Bar]:
    """The bars of what is not a trial."""
    stages = {key for trial in state.trials.values() for key in trial.stages.values()}
    stages_ended = {f"stage/{key}" for key in stages & state.stages.keys()}
    pairs = {f"analysis/{name}/{target}" for name in analyses for target in state.opened.targets}
    return [
        bar("shared stages", "stage", stages_ended, len(stages), notes),
        bar("analyses", "analysis", pairs & {f"analysis/{key}" for key in state.analyses}, len(pairs), notes),
    ]


class LiveView:
    """Shows the run while it goes.

    axes: the config keys that vary. state, notes: asked at every look. analyses: those that follow the sweep.
    """

    def __init__(
        self,
        out: Console,
        axes: Sequence[str],
        analyses: Sequence[str],
        state: Callable[[], RunState],
        notes: Callable[[], Mapping[str, Note]],
    ) -> None:
        self.out, self.axes, self.analyses, self.state, self.notes = out, axes, analyses, state, notes
        self.phase, self.begun = "", time.monotonic()
        self.printed: dict[str, str] = {}
        self.stop = threading.Event()

    def render(self) -> Group:
        """The whole view, for a terminal."""
        notes, state = self.notes(), self.state()
        parts: list[RenderableType] = [Text(f"{self.phase}  {duration(time.monotonic() - self.begun)}", style="bold")]
        for line in bars(state, notes, self.analyses):
            if 0 < line.fraction < 1:
                row = Table.grid(padding=(0, 1))
                drawn = ProgressBar(total=1, completed=line.fraction, width=40)
                row.add_row(line.title, drawn, f"{line.fraction:.0%}", line.text)
                parts.append(row)
        if any(trial.state != State.PENDING for trial in state.trials.values()):
            parts.append(trials_table(state, self.axes, notes, max(5, self.out.height - 10), self.out.width))
        return Group(*parts)

    def print_changes(self) -> None:
        """Print a line for everything that has changed since the last look."""
        notes, state = self.notes(), self.state()
        for line in bars(state, notes, self.analyses):
            tenth = str(int(line.fraction * 10))
            if tenth != "0" and self.printed.get(line.title) != tenth:
                self.printed[line.title] = tenth
                say(self.out, f"{line.title} {line.fraction:.0%}  {line.text}".rstrip())
        for trial in list(state.trials.values()):
            text = self.line(trial, state, notes)
            key = text.partition("  ")[0]
            if trial.state != State.PENDING and self.printed.get(trial.id) != key:
                self.printed[trial.id] = key
                say(self.out, text)

    def line(self, trial: TrialState, state: RunState, notes: Mapping[str, Note]) -> str:
        """A trial in a line: its state, its point and its numbers."""
        percent = max(100 * trial_progress(trial, {}), int(trial_progress(trial, notes) * 4) * 25)
        name = f"#{numbers_of_trials(state)[trial.id]} {point_text(trial, self.axes)}".rstrip()
        criterion = shown_criterion(state)
        numbers = f"{criterion} {short(trial.metric(criterion))}  AUROC {short(trial.metric('oracle'))}"
        text = f"{name} {trial.state} at {percent:g} %  {numbers if trial.rungs else ''}  {trial.id}"
        return text.rstrip()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Refresh in the background until the block ends."""
        live = Live(console=self.out, get_renderable=self.render, auto_refresh=False) if self.out.is_terminal else None

        def loop() -> None:
            try:
                while not self.stop.wait(TERMINAL_EVERY if live else LINES_EVERY):
                    live.refresh() if live else self.print_changes()
            except Exception as error:  # who watches must not disturb what is watched, nor go in silence
                say(self.out, f"the view of the run has ended, the run goes on: {type(error).__name__}: {error}")

        thread = threading.Thread(target=loop, daemon=True)
        if live:
            live.start()
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join(timeout=5)
            live.stop() if live else self.print_changes()
