"""What `data check` says of a user's folder."""

from itertools import islice

from rich import box
from rich.console import Console
from rich.table import Table

from orchestrator.console.output import say
from orchestrator.data.folder_check import FolderCheck

SHOWN = 5  # sizes of images


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
