"""Lines, numbers and times as a terminal shows them."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console


def console(plain: bool = False) -> Console:
    """Colours and live tables on a terminal; plain lines, never folded, anywhere else. Brackets are no markup."""
    if sys.stdout.isatty() and not plain:
        return Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, color_system=None, width=120, force_terminal=False)


def say(out: Console, text: str) -> None:
    """Print a line as it is, not folded."""
    out.print(text, soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds in words: 12 s, 3.4 min, 2.1 h, 5.0 days."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= 60):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def counted(count: int, what: str) -> str:
    """A count with its noun: 1 network, 3 networks."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def short(value: Any) -> str:
    """A value of a table's cell: three digits of a number, nothing of None."""
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def values(items: Iterable[Any]) -> str:
    """Values of an axis, separated by commas."""
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in items)
