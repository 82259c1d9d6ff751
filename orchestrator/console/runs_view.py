"""Runs of a storage, with what they take on disk."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from orchestrator.console.output import counted, duration, say, short
from orchestrator.planning.request import absolute
from orchestrator.record.events import (
    AnalysisEnded,
    Closed,
    Event,
    Launched,
    Mishap,
    Opened,
    RungReached,
    StageEnded,
    TrialAdded,
    TrialMoved,
)
from orchestrator.record.launcher import RunLog
from orchestrator.record.provenance import without_secrets
from orchestrator.record.repair import Repair
from orchestrator.record.runs import resume_command
from orchestrator.record.tracking.ui import Pages
from orchestrator.results.disk import Removal, RunOnDisk
from orchestrator.results.tables import LEAK

MARK = "*"
"""Beside an AUROC that picked its own configuration."""


def size(count: int) -> str:
    """Bytes in words: 512 B, 3.4 MB."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def print_runs(out: Console, runs: Sequence[RunOnDisk], storage: str) -> None:
    """A row a run, and what to do about those whose launcher is gone."""
    place = absolute(storage)
    if not runs:
        say(out, f"no runs in {without_secrets(place)}")
        return
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("trials", "AUROC", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            run.name, run.life, f"{run.ended}/{run.trials}", short(run.auroc) + MARK * run.leak, size(run.bytes)
        )
    out.print(table)
    for run in runs:
        if run.life == "dead":
            say(out, f"{run.name} has lost its launcher; resume it: {resume_command(run.name, place)}")
        elif run.error:
            say(out, f"{run.name}: {run.error}")
    if any(run.leak for run in runs):
        say(out, f"{MARK} {LEAK}: the configuration was picked by this AUROC")
    if losers := sum(run.losers for run in runs):
        say(out, f"{size(losers)} are weights of trials that have lost: `runs gc` lists them")


def print_run(out: Console, run: RunOnDisk, storage_by: str) -> None:
    """A line a fact, then what takes the room. storage_by: who has said where it lies."""
    area = " ".join(filter(None, (short(run.auroc) or "not known yet", LEAK * run.leak)))
    facts = {
        "run": run.name, "state": run.life, "space": f"{run.space}, {run.preset} preset",
        "trials": f"{run.ended} of {run.trials} have ended", "AUROC": area,
        "command": run.command, "storage": f"from {storage_by}", "size": size(run.bytes),
    }  # fmt: skip
    for name, text in facts.items():
        say(out, f"{name:10} {text}")
    for name, count in sorted(run.sizes.items(), key=lambda item: -item[1]):
        of = f", {size(run.losers)} of it of trials that have lost" if name == "weights" and run.losers else ""
        say(out, f"  {name:8} {size(count)}{of}")


def print_repair(out: Console, repair: Repair, run: str) -> None:
    """A line a damaged line, then what was kept, and where."""
    for line in repair.dropped:
        say(out, f"left out  {line}")
    for file in repair.files:
        say(out, f"{'kept' if repair.done else 'to be kept'} as  {file}")
    whole = f"{counted(repair.kept, 'line')} whole"
    if not repair.files:
        say(out, f"nothing to repair: {whole}")
    elif repair.done:
        say(out, f"repaired: {whole}; go on with `resume {run}`")
    else:
        say(out, f"would be repaired: {whole}; --yes does it")


def print_removal(out: Console, removal: Removal) -> None:
    """A line a kind of thing that goes, and how much that is; `--json` names every place."""
    kinds = {what: [item for item in removal.items if item.what == what] for what in (i.what for i in removal.items)}
    for what, items in kinds.items():
        more = f" and {len(items) - 1} more" if len(items) > 1 else ""
        total = size(sum(item.bytes for item in items))
        say(out, f"{total:>9}  {what}: {without_secrets(items[0].path)}{more}")
    for remark in removal.remarks:
        say(out, f"note: {remark}")
    if not removal.items:
        say(out, "there is nothing to remove")
        return
    total = f"{size(removal.bytes)} in {counted(len(removal.items), 'place')}"
    say(out, f"removed: {total}" if removal.removed else f"would go: {total}; --yes removes it")


def print_pages(out: Console, pages: Pages) -> None:
    """The links of every run, and how to close what was opened."""
    for run in pages.runs:
        say(out, run.name)
        for what, link in (("run", run.page), ("trials compared", run.comparison), ("all runs", run.table)):
            say(out, f"  {what:16}{link}")
    if not pages.runs:
        say(out, "MLflow has no runs of ours here")
    if pages.server is not None:
        say(out, f"MLflow serves {pages.address} for this machine alone; Ctrl-C closes it")


def print_log(out: Console, log: RunLog, last: int, follow: bool) -> None:
    """A line an event, and where the log files are."""
    for folder in log.folders:
        say(out, f"Ray's files: {folder}")
    for event in log.events(last, follow=follow):
        say(out, f"{event.time[:19].replace('T', ' ')}  {event_text(event)}")


def event_text(event: Event) -> str:
    """What has happened, in a few words."""
    match event:
        case Opened(name=name, trials=trials):
            return f"the run begins: {name}, {counted(len(trials), 'trial')}"
        case Launched(executor=executor, host=host, pid=pid):
            return f"a launcher begins: {executor}, process {pid} on {host}"
        case StageEnded(unit=unit, reused=reused, seconds=seconds):
            return f"stage {unit} {'was there' if reused else f'took {duration(seconds)}'}"
        case TrialAdded(trial=trial):
            return f"trial {trial.id} is chosen: {', '.join(f'{key}={value}' for key, value in trial.point.items())}"
        case TrialMoved(trial=name, state=state, error=error):
            return f"trial {name} is {state}{f': {error}' if error else ''}"
        case RungReached(trial=name, rung=rung, metrics=metrics):
            area = short(metrics.numbers.get("oracle"))
            return f"trial {name} is at {rung / 10:g} %{f', AUROC {area}' if area else ''}"
        case AnalysisEnded(name=name, target=target, error=error):
            return f"analysis {name} of {target} {f'failed: {error}' if error else 'is there'}"
        case Mishap(task=task, text=text):
            return ": ".join(filter(None, (task, text)))
        case Closed(outcome=outcome):
            return f"the launcher ends: {outcome}"
    return "the run goes on with other code"
