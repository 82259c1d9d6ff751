"""A run while it goes: a live table on a terminal; elsewhere a line a minute, and one for each trial that has ended."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.console.output import duration, say, short, warn
from orchestrator.console.result_view import (
    numbers_of_trials,
    point_text,
    shown_criterion,
    trial_progress,
    trials_table,
)
from orchestrator.console.time_left import ENDED, Pace, ended_trials, fraction_done
from orchestrator.execution.executor import Note
from orchestrator.record.state import RunState, State, TrialState

if TYPE_CHECKING:
    from orchestrator.planning.duration import Estimate

TERMINAL_EVERY, LINES_EVERY = 0.5, 2.0
"""Seconds between looks at a run."""
MINUTE = 60.0
"""Seconds between lines about the whole run, where no terminal is."""
AT_WORK = 3
"""Trials that run, of which what they are at is shown."""


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


def at_work(state: RunState, notes: Mapping[str, Note]) -> str:
    """What trials that run are at, such as `#3 7 level_2, 900 images/s`; of many the first."""
    numbers = numbers_of_trials(state)
    texts = {
        trial.id: note.text
        for trial in state.trials.values()
        for key, note in notes.items()
        if trial.state == State.RUNNING and key.startswith(f"trial/{trial.id}/")
    }
    return "; ".join(f"#{numbers[name]} {texts[name]}" for name in list(texts)[:AT_WORK])


class LiveView:
    """Shows the run while it goes.

    axes: the config keys that vary. state, notes: asked at every look. analyses: those that follow the sweep. estimate:
    the plan's.
    """

    def __init__(
        self,
        out: Console,
        axes: Sequence[str],
        analyses: Sequence[str],
        state: Callable[[], RunState],
        notes: Callable[[], Mapping[str, Note]],
        estimate: "Estimate | None" = None,
    ) -> None:
        self.out, self.axes, self.analyses, self.state, self.notes = out, axes, analyses, state, notes
        self.phase, self.begun, self.estimate = "", time.monotonic(), estimate
        self.first: float | None = None
        self.last_line, self.printed = self.begun, set[str]()
        self.stop = threading.Event()

    def render(self) -> Group:
        """The whole view, for a terminal."""
        notes, state = self.notes(), self.state()
        left = self.time_left(state, notes)
        headline = "  ".join(filter(None, (self.phase, duration(time.monotonic() - self.begun), left)))
        parts: list[RenderableType] = [Text(headline, style="bold")]
        if working := at_work(state, notes):
            parts.append(Text(working, overflow="ellipsis", no_wrap=True))
        for line in bars(state, notes, self.analyses):
            if 0 < line.fraction < 1:
                row = Table.grid(padding=(0, 1))
                drawn = ProgressBar(total=1, completed=line.fraction, width=40)
                row.add_row(line.title, drawn, f"{line.fraction:.0%}", line.text)
                parts.append(row)
        if any(trial.state != State.PENDING for trial in state.trials.values()):
            parts.append(trials_table(state, self.axes, notes, max(5, self.out.height - 10), self.out.width))
        return Group(*parts)

    def time_left(self, state: RunState, notes: Mapping[str, Note]) -> str:
        """Of stages and trials, and what it rests on."""
        stages, _ = bars(state, notes, ())
        done = fraction_done(state, notes, stages.fraction if stages.total else 1.0, self.estimate)
        self.first = done if self.first is None else self.first
        return Pace(self.first, done, time.monotonic() - self.begun).text(self.estimate)

    def print_changes(self) -> None:
        """Print a line for every trial that has ended since the last look, and a line a minute for the whole run."""
        notes, state = self.notes(), self.state()
        for trial in list(state.trials.values()):
            if trial.state in ENDED and trial.id not in self.printed:
                self.printed.add(trial.id)
                say(self.out, self.line(trial, state))
        left = self.time_left(state, notes)
        if time.monotonic() - self.last_line >= MINUTE:
            self.last_line = time.monotonic()
            say(self.out, "; ".join(filter(None, (self.summary(state, notes), left, at_work(state, notes)))))

    def summary(self, state: RunState, notes: Mapping[str, Note]) -> str:
        """How long it has gone on, and how far it is."""
        parts = [f"{bar.title} {bar.fraction:.0%}" for bar in bars(state, notes, self.analyses) if bar.total]
        counts = f"{ended_trials(state)} of {state.expected} trials ended"
        return ", ".join([duration(time.monotonic() - self.begun), *parts, counts])

    def line(self, trial: TrialState, state: RunState) -> str:
        """A trial in a line: its number and point, its state, its numbers and its id."""
        name = f"#{numbers_of_trials(state)[trial.id]} {point_text(trial, self.axes)}".rstrip()
        criterion = shown_criterion(state)
        numbers = f"{criterion} {short(trial.metric(criterion))}  AUROC {short(trial.metric('oracle'))}  "
        end = f"{trial.state} at {100 * trial_progress(trial, {}):g} %"
        return f"{name}  {end}  {numbers if trial.rungs else ''}{trial.id}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Refresh in the background until the block ends."""
        live = Live(console=self.out, get_renderable=self.render, auto_refresh=False) if self.out.is_terminal else None

        def loop() -> None:
            try:
                while not self.stop.wait(TERMINAL_EVERY if live else LINES_EVERY):
                    live.refresh() if live else self.print_changes()
            except Exception as error:  # who watches must not disturb what is watched, nor go in silence
                warn(self.out, f"the view of the run has ended, the run goes on: {type(error).__name__}: {error}")

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
