"""Trials and results, as tables and lines."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from orchestrator.console.auroc_view import AurocTable
from orchestrator.console.output import duration, say, short, warn
from orchestrator.record.labels import short_value
from orchestrator.record.provenance import from_here, without_secrets
from orchestrator.record.runs import resume_command, ui_command
from orchestrator.record.state import RunState, State, TrialState
from orchestrator.results.comparison import Comparison, Pair
from orchestrator.results.report.tables import UNSCORED, difference_cells, number, p_of, repeated_rows
from orchestrator.results.run import Results
from orchestrator.results.sweep import Repeated
from orchestrator.results.tables import LEAK
from workloads.scoring.paired import Difference
from workloads.scoring.selection import CRITERIA

if TYPE_CHECKING:  # what runs work imports torch
    from orchestrator.execution.executor import Note
    from orchestrator.execution.observer import Finished
    from orchestrator.results.handle import Run


MOST_POINTS = 10
"""Points with several seeds that a launch prints."""
WITH_IDS = 80
"""Columns from which a table of trials has their ids."""
BESIDE, ID, FEWEST_ROWS = 28, 13, 5
"""Columns that a table of trials takes beside criterion and point; that an id takes; and rows that it has at least."""


def shown_criterion(state: RunState) -> str:
    """The metric that the winner is chosen by; the contrastive score where that is the AUROC, which is shown anyway."""
    criterion = CRITERIA[state.space.select_by]
    return CRITERIA["contrastive"].metric if criterion.leak else criterion.metric


def trial_progress(trial: TrialState, notes: "Mapping[str, Note]") -> float:
    """The fraction of its schedule that a trial has trained, from its workers' notes or else its last rung."""
    running = [note for key, note in notes.items() if key.startswith(f"trial/{trial.id}/")]
    if trial.state == State.RUNNING and running:
        return sum(note.done for note in running) / sum(note.total for note in running)
    return max(trial.rungs, default=0) / 1000


def numbers_of_trials(state: RunState) -> dict[str, int]:
    """Trial -> its place in the plan, from 1, which a person reads more easily than an id."""
    return {name: number for number, name in enumerate(state.trials, 1)}


def point_text(trial: TrialState, axes: Sequence[str]) -> str:
    """What tells a trial from the others: batch_size=16 noise=0.05."""
    return " ".join(f"{axis}={trial.point.get(axis)}" for axis in axes)


def trials_table(state: RunState, axes: Sequence[str], notes: "Mapping[str, Note]", rows: int, width: int) -> Table:
    """One row a trial, about `rows` lines, the best first: its number, its AUROC and its criterion, how far it is, its
    point; the id where `width` columns have room for it. Where points are long, the heading names their keys once."""
    table, criterion = Table(box=None, padding=(0, 1, 0, 0), header_style="bold"), shown_criterion(state)
    numbers = numbers_of_trials(state)
    trials = sorted(state.trials.values(), key=lambda trial: place_of(trial, criterion, state))
    room = width - len(criterion) - BESIDE
    texts, heading = {trial.id: point_text(trial, axes) for trial in trials}, "point"
    if widest(texts) > room - ID * (width >= WITH_IDS):
        heading = " · ".join(axes)
        texts = {trial.id: " · ".join(short_value(trial.point.get(axis)) for axis in axes) for trial in trials}
    with_id = width >= WITH_IDS and widest(texts) <= room - ID
    for name in ("trial", "AUROC", criterion):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column(heading, overflow="fold")
    if with_id:
        table.add_column("id", no_wrap=True)
    if rows < len(trials):
        lines = math.ceil(widest(texts) / max(1, room - ID * with_id))
        rows = max(FEWEST_ROWS, rows // max(1, lines))
    for trial in trials[:rows]:
        done = f" {trial_progress(trial, notes):.0%}" if trial.state not in (State.PENDING, State.FINISHED) else ""
        values = [short(trial.metric("oracle")), short(trial.metric(criterion)), f"{trial.state}{done}"]
        table.add_row(f"#{numbers[trial.id]}", *values, texts[trial.id], *[trial.id] * with_id)
    if len(trials) > rows:
        table.caption, table.caption_justify = f"and {len(trials) - rows} more", "left"
    return table


def place_of(trial: TrialState, criterion: str, state: RunState) -> tuple[int, float]:
    """What a trial's row is sorted by: those that run come first, then those that have ended, the best first."""
    order = (State.RUNNING, State.FINISHED, State.STOPPED, State.FAILED, State.INTERRUPTED, State.PENDING)
    value = trial.metric(criterion) if trial.state in (State.FINISHED, State.STOPPED) else None
    better_first = CRITERIA[state.space.select_by].better_first
    return order.index(trial.state), math.inf if value is None else better_first(value)


def widest(texts: Mapping[str, str]) -> int:
    """Characters of the longest text."""
    return max(map(len, texts.values()), default=0)


def run_summary(state: RunState, life: str) -> dict[str, Any]:
    """A run in a line: how its last launcher ended (see `record.heartbeat`), trials by state, stages done, launches."""
    counts = Counter(str(trial.state) for trial in state.trials.values())
    return {"outcome": life, **counts, "stages": len(state.stages), "launches": state.launches}


def print_result(out: Console, run: "Finished", results: Results) -> None:
    """The table, the winner and where to look further."""
    state = run.state
    out.print(AurocTable(results.table))
    if results.out:
        marks = {name: UNSCORED * (name in results.unscored_sets) for name in results.out}
        means = ", ".join(f"{name} {number(value)}{marks[name]}" for name, (value, _) in results.out.items())
        say(out, f"out of distribution, mean over the classes: {means}")
    point = ", ".join(f"{key}={value}" for key, value in results.best.point.items())
    by = state.space.select_by
    how = "LEAK: chosen by test labels" if state.leak else f"by {by}, no test label seen"
    if point:  # a single trial has nothing that varies
        say(out, f"best configuration ({how}): {point}")
    print_repeated(out, results.repeated)
    for warning in results.warnings:
        warn(out, warning)
    for trial, error in results.failed.items():
        warn(out, f"trial #{numbers_of_trials(state)[trial]} {trial}: {error}", "failed")
    phases = ", ".join(f"{name} {duration(seconds)}" for name, seconds in run.phases.items())
    took = f"{duration(run.seconds)} ({phases})" if phases else duration(run.seconds)  # none: all was there
    spent = f"training and scoring {duration(run.worker_seconds)} of worker time"
    say(out, f"took {took}; {spent}")
    say(out, f"report  {from_here(str(results.report))}")
    if not run.tracking.startswith("http"):
        say(out, f"MLflow  {ui_command(run.run, run.request.storage, run.tracking)}")
    if run.page:
        say(out, f"        {run.page}")


def print_repeated(out: Console, points: Sequence[Repeated]) -> None:
    """Points that were trained with several seeds, and whether the winner's is ahead of them by chance."""
    if not points:
        return
    shown = [point for number, point in enumerate(points) if number < MOST_POINTS or point.less is None]
    heads, rows = repeated_rows(shown)  # the winner's is among them, wherever it stands
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in heads:
        table.add_column(name, justify="left" if name == "point" else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)
    more = f"; {len(points) - len(shown)} more points are in the report" if len(points) > len(shown) else ""
    say(out, f"mean and standard deviation over the seeds; p of the paired t-test over them{more}")


def result_facts(run: "Finished") -> dict[str, Any]:
    """A launch that has ended, for programs."""
    facts = {"run": run.run, "outcome": run.outcome, "seconds": run.seconds, "phases": run.phases}
    if run.results is None:
        return facts | {"resume": run.resume}
    return facts | {**results_facts(run.results), "mlflow": without_secrets(run.tracking), "page": run.page}


def results_facts(results: Results) -> dict[str, Any]:
    """A report's numbers, for programs."""
    best = {"trial": results.best.id, "point": results.best.point}
    facts = {"best": best, "table": results.table, "warnings": results.warnings, "failed": results.failed}
    return facts | {"seeds": [item.facts() for item in results.repeated], "report": results.report}


def print_analyses(out: Console, run: "Run") -> None:
    """What a closer look at a run can be."""
    for name, title in run.analyses.items():
        say(out, f"{name:12} {title}")
    if not run.analyses:
        say(out, f"the method {run.state.space.workload} has no analyses")


def print_findings(out: Console, run: "Run") -> None:
    """What a reader must know of a run that was looked at, and where its report is."""
    for warning in run.warnings:
        warn(out, warning)
    say(out, f"report  {from_here(str(run.report))}")


def print_report(out: Console, results: Results) -> None:
    """The table of a report that was written again, and where it is."""
    out.print(AurocTable(results.table))
    say(out, f"report  {results.report}")


def print_comparison(out: Console, comparison: Comparison, part: str) -> None:
    """Winners side by side, how alike they rank the same images, and the files that say so."""
    out.print(AurocTable(comparison.table))
    names = comparison.marked(LEAK)
    shown = Table(f"rank correlation of {part}", *names, box=None, header_style="bold")
    for name, row, shared in zip(names, comparison.correlations, comparison.shared, strict=True):
        cells = [
            f"{rho:.3f} ({count})" if rho == rho else f"- ({count})" for rho, count in zip(row, shared, strict=True)
        ]
        shown.add_row(name, *cells)
    out.print(shown)
    say(out, "Spearman's rho over images that both have scored; in brackets how many")
    if comparison.pairs:
        out.print(pairs_table(comparison))
        say(out, "AUROC of the first less that of the second on the same images; p of DeLong's paired test")
    for note in (*comparison.table.notes, *comparison.notes):
        say(out, note)
    for file in comparison.files:
        say(out, str(file))


def pairs_table(comparison: Comparison) -> Table:
    """A line a paired test of two runs, over the classes that both have."""
    heads = ("first", "second", "classes", "difference", "95 % interval", "p", "p over classes", "p over seeds")
    shown = Table(*heads, box=None, header_style="bold")
    for pair in comparison.pairs:
        names = [f"{name} {LEAK}" if name in comparison.leaks else name for name in (pair.first, pair.second)]
        tests = (p_of(pair.wilcoxon), p_of(pair.seeds.p if pair.seeds else None))
        shown.add_row(*names, str(len(pair.classes)), *difference_cells(pair.mean), *tests)
    return shown


def pair_facts(pair: Pair) -> dict[str, Any]:
    """A paired test for programs: differences are AUROC of the first less that of the second."""
    classes = {name: difference_facts(item) for name, item in pair.classes.items()}
    mean = difference_facts(pair.mean)
    seeds = pair.seeds and {"difference": pair.seeds.value, "interval": pair.seeds.interval, "p": pair.seeds.p}
    tests = {"wilcoxon": pair.wilcoxon, "seeds": seeds}
    return {"first": pair.first, "second": pair.second, "mean": mean, **tests, "classes": classes}


def difference_facts(item: Difference) -> dict[str, Any]:
    return {"difference": item.value, "interval": item.interval, "p": item.p, "images": item.images}


def comparison_facts(comparison: Comparison) -> dict[str, Any]:
    """The same for programs."""
    return {
        "table": comparison.table,
        "models": [model.name for model in comparison.models],
        "correlations": comparison.correlations,
        "shared": comparison.shared,
        "pairs": [pair_facts(pair) for pair in comparison.pairs],
        "leaks": sorted(comparison.leaks),
        "notes": comparison.notes,
        "files": comparison.files,
    }


def print_status(out: Console, run: "Run") -> None:
    """How far a run is, what to do where its launcher is gone, and a row a trial."""
    state = run.state
    summary = run_summary(state, run.outcome)
    dead = f"; resume it: {resume_command(run.name, run.storage)}" if summary["outcome"] == "dead" else ""
    say(out, f"{run.name}  {', '.join(f'{key} {value}' for key, value in summary.items())}{dead}")
    out.print(trials_table(state, state.varying, {}, len(state.trials), out.width))
