"""What the user sees: the plan, live progress, the result. Only what varies is shown."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.planning.plan import Plan
from orchestrator.record.provenance import gpu_count
from orchestrator.record.state import RunState, State
from workloads.scoring.selection import CRITERIA

Notes = dict[str, tuple[float, float, str]]


def console(plain: bool = False) -> Console:
    """Colours and live tables on a terminal; plain lines, never folded, anywhere else. Brackets are no markup."""
    if sys.stdout.isatty() and not plain:
        return Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, color_system=None, width=120, force_terminal=False)


def say(out: Console, text: str) -> None:
    """A line as it is, not folded."""
    out.print(text, soft_wrap=True)


def duration(seconds: float) -> str:
    """12 s, 3.4 min, 2.1 h, 5.0 days."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= 60):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def counted(count: int, what: str) -> str:
    """1 network, 3 networks."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def values(items: Any) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in items)


def plan_table(plan: Plan, storage: str, tracking: str, resume: str) -> Table:
    """Everything a user wants to know before the machine gets warm."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    space, cost = plan.space, plan.estimate
    search = "all points" if space.search.kind == "grid" else f"{len(plan.points)} random of {space.size()} points"
    rungs = f"ASHA, compared at {values(r / 10 for r in plan.rungs[:-1])} % of the schedule"
    how = rungs if len(plan.rungs) > 1 else "every trial to the end"
    table.add_row("run", plan.run)
    table.add_row("question", plan.doc.strip().splitlines()[0] if plan.doc.strip() else plan.name)
    table.add_row("data", data_lines(plan))
    if space.data.auxiliary:
        sources = ", ".join(source.name for source in space.data.auxiliary)
        table.add_row("general set", f"{sources}; about {plan.counts.auxiliary:,} training images")
    if space.data.out:
        table.add_row("out sets", ", ".join(space.data.out))
    table.add_row("preset", plan.preset)
    for key, axis in space.axes.items():
        table.add_row(f"  {key}", values(axis))
    table.add_row("trials", f"{len(plan.points)} ({search}; {how})")
    each = counted(len(plan.units), "network") if plan.targets else "as many networks as classes and levels"
    table.add_row("a trial", f"{each} on {space.resources.workers} worker(s), shared out by {space.resources.share}")
    table.add_row("shared", f"{counted(plan.stages, 'stage')} trained once for all trials, found again by content")
    leak = " (looks at test labels: a LEAK)" if space.select_by == "oracle" else " (no test label is looked at)"
    table.add_row("winner by", space.select_by + leak)
    parts = f"stages {duration(cost.stages)}, trials {duration(cost.trials)}, start-up {duration(cost.overhead)}"
    if not space.resources.gpus_per_worker and (gpus := gpu_count()):
        table.add_row("GPU", f"not used: of {gpus} here, --gpus-per-worker 1 gives each worker one")
    if space.analyses:
        table.add_row("afterwards", f"analyses of the winner, not in the estimate: {', '.join(space.analyses)}")
    most = f", at most {duration(cost.longest)}" if cost.longest > 1.05 * cost.total else ""
    table.add_row("estimate", f"{duration(cost.total)}{most} on {plan.workers} worker(s): {parts}\n{cost.source}")
    table.add_row("results", f"{storage}/{plan.run}")
    table.add_row("MLflow", tracking)
    table.add_row("resume", resume)
    return table


def data_lines(plan: Plan) -> str:
    """Which images, and what is normal among them."""
    data, side = plan.space.data, f"{plan.shape.height}x{plan.shape.width}"
    if data.protocol == "in_out":
        about = f"{data.name}, {side}, about {plan.counts.images} training images"
        return f"{about}, all normal; anomalies are the out sets"
    problems = f"{counted(len(plan.targets), 'one-class problem')}: {', '.join(plan.targets)}"
    return f"{data.name}, {side}, about {plan.counts.images} training images a class\n" + (
        problems if plan.targets else "classes as found"
    )


def bar(notes: Notes, prefix: str) -> tuple[float, str]:
    """Fraction done over all workers under a key, and what they are at."""
    mine = [note for key, note in sorted(notes.items()) if key.startswith(f"{prefix}/")]
    total = sum(note[1] for note in mine)
    return (sum(note[0] for note in mine) / total if total else 0.0), "; ".join(note[2] for note in mine)


def short(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def shown_criterion(state: RunState) -> str:
    """The metric that the winner is chosen by; the contrastive score where that is the AUROC, which is shown anyway."""
    criterion = CRITERIA[state.space.select_by]
    return CRITERIA["contrastive"].metric if criterion.leak else criterion.metric


def trials_table(state: RunState, axes: list[str], notes: Notes, width: int) -> Table:
    """One line a trial: its varying keys, how far it is, its criterion and its AUROC."""
    table, criterion = Table(box=None, padding=(0, 1), header_style="bold"), shown_criterion(state)
    for name in ["trial", *axes, "state", "progress", criterion, "AUROC"]:
        table.add_column(name, justify="left" if name in ("trial", "state") else "right", no_wrap=True)
    trials = sorted(state.trials.values(), key=lambda t: (t.state == State.PENDING, t.state != State.RUNNING))
    for trial in trials[:width]:
        fraction = bar(notes, trial.id)[0] if trial.state == State.RUNNING else trial.reached / 1000
        cells = [f"{v:g}" if isinstance(v, float) else str(v) for v in (trial.point[a] for a in axes)]
        table.add_row(
            trial.id,
            *cells,
            str(trial.state),
            f"{fraction:.0%}",
            short(trial.metric(criterion)),
            short(trial.metric("oracle")),
        )
    if len(trials) > width:
        table.add_row(f"and {len(trials) - width} more")
    return table


BARS = {"stages": "shared stages", "analyses": "analyses"}
"""Prefix of the board's notes -> what its bar is called."""


class Progress:
    """Shows the run while it goes: a live table on a terminal, a line now and then elsewhere."""

    def __init__(
        self, out: Console, axes: list[str], state: Callable[[], RunState], notes: Callable[[], Notes]
    ) -> None:
        self.out, self.axes, self.state, self.notes = out, axes, state, notes
        self.phase, self.begun = "", time.monotonic()
        self.said: dict[str, str] = {}
        self.stop = threading.Event()

    def render(self) -> Group:
        notes, state = self.notes(), self.state()
        head = Text(f"{self.phase}  {duration(time.monotonic() - self.begun)}", style="bold")
        parts: list[Any] = [head]
        for prefix, title in BARS.items():
            fraction, at = bar(notes, prefix)
            if 0 < fraction < 1:
                row = Table.grid(padding=(0, 1))
                row.add_row(title, ProgressBar(total=1, completed=fraction, width=40), f"{fraction:.0%}", at)
                parts.append(row)
        if any(t.state != State.PENDING for t in state.trials.values()):
            parts.append(trials_table(state, self.axes, notes, max(5, self.out.height - 10)))
        return Group(*parts)

    def say(self) -> None:
        """Lines for what has changed since the last look."""
        notes = self.notes()
        for prefix, title in BARS.items():
            fraction, at = bar(notes, prefix)
            tenth = int(fraction * 10)
            if tenth and self.said.get(prefix) != str(tenth):
                self.said[prefix] = str(tenth)
                say(self.out, f"{title} {fraction:.0%}  {at}")
        for trial in list(self.state().trials.values()):
            quarter = int(bar(notes, trial.id)[0] * 4) * 25 if trial.state == State.RUNNING else 0
            line = f"{trial.state} at {max(trial.reached / 10, quarter):g} %"
            if trial.state != State.PENDING and self.said.get(trial.id) != line:
                self.said[trial.id] = line
                point = " ".join(f"{a}={trial.point[a]}" for a in self.axes)
                criterion = shown_criterion(self.state())
                numbers = f"{criterion} {short(trial.metric(criterion))}  AUROC {short(trial.metric('oracle'))}"
                say(self.out, f"trial {trial.id} {line}  {point}  {numbers if trial.rungs else ''}".rstrip())

    @contextmanager
    def running(self) -> Iterator["Progress"]:
        """Refresh in the background until the block ends."""
        live = Live(console=self.out, get_renderable=self.render, auto_refresh=False) if self.out.is_terminal else None
        every = 0.5 if live else 2.0

        def loop() -> None:
            while not self.stop.wait(every):
                live.refresh() if live else self.say()

        thread = threading.Thread(target=loop, daemon=True)
        if live:
            live.start()
        thread.start()
        try:
            yield self
        finally:
            self.stop.set()
            thread.join(timeout=5)
            live.stop() if live else self.say()


def run_summary(state: RunState, outcome: str) -> dict[str, Any]:
    """A run in a line: how its last launcher ended (see `record.heartbeat`), trials by state, stages done, launches."""
    counts: dict[str, int] = {}
    for trial in state.trials.values():
        counts[str(trial.state)] = counts.get(str(trial.state), 0) + 1
    return {"outcome": outcome, **counts, "stages": len(state.stages), "launches": state.launches}
