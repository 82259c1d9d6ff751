"""What `data check` says of a user's folder, and `doctor` of a machine."""

from collections.abc import Mapping, Sequence
from itertools import islice

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.console.output import say
from orchestrator.data.folder_check import FolderCheck
from orchestrator.execution.doctor import Check
from orchestrator.record.provenance import without_secrets

SHOWN = 5  # sizes of images
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def print_check(out: Console, check: FolderCheck) -> None:
    """Counts by class and split, sizes, masks, what is left out, and why a launch would refuse the folder."""
    say(out, f"{check.folder}: {check.account.used:,} images")
    if check.classes:
        splits = [name for name in ("train", "val", "test") if any(name in counts for counts in check.classes.values())]
        table = Table("class", *splits, box=box.SIMPLE_HEAD)
        for name, counts in check.classes.items():
            table.add_row(name, *(str(counts.get(split, 0)) for split in splits))
        out.print(table)
    else:
        for folder, (used, others) in check.account.folders.items():
            say(out, f"  {folder}: {used} images, {others} other files")
    sizes = [f"{size} ({count})" for size, count in islice(check.sizes.items(), SHOWN)]
    more = f" and {len(check.sizes) - SHOWN} others" if len(check.sizes) > SHOWN else ""
    say(out, f"sizes      {', '.join(sizes)}{more}")
    say(out, f"modes      {', '.join(f'{mode} ({count})' for mode, count in check.modes.items())}")
    say(out, f"masks      {'none' if check.masked is None else f'{check.masked} test images have marked pixels'}")
    for remark in check.remarks:
        say(out, f"note       {remark}")
    say(out, f"left out   {check.account.unused:,} files" if check.account.unused else "left out   nothing")
    for item in check.account.left_out:
        say(out, f"  {item}")
    if check.problem:
        say(out, f"a launch would refuse this folder: {check.problem}")


def print_checks(out: Console, checks: Sequence[Check], sources: Mapping[str, str]) -> None:
    """Where things are, a row a check, and the fix of each finding below it. sources: key -> its value and source."""
    for key, text in sources.items():
        say(out, f"{key:12} {without_secrets(text)}")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        fix = f"\nfix: {check.fix}" if check.fix else ""
        table.add_row(Text(check.outcome, style=STYLES[check.outcome]), check.name, without_secrets(check.text + fix))
    out.print(table)
