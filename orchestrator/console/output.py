"""Lines, numbers and times as a terminal shows them."""

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

SCHEMA = 1
"""Of everything that `--json` prints; it grows when a key changes its meaning or goes."""
PIPED = 120
"""Columns of a table where no terminal is, unless COLUMNS says otherwise."""
UNPRINTABLE = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
"""What moves a terminal's cursor, turns its text around or cannot be encoded; not line ends and tabs."""
PADDING = re.compile(" +(?=\n|$)")


def visible(text: str) -> str:
    """The text with every control character as its escape: a file's name cannot command a terminal."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class Screen(Console):
    """A console whose texts are `visible`, whoever made them."""

    def render_str(self, text: str, **options: Any) -> Any:
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


class Unpadded:
    """Writes text without the spaces that fill up its lines."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> int:
        return self.file.write(PADDING.sub("", text))

    def flush(self) -> None:
        self.file.flush()


def console(plain: bool = False, quiet: bool = False) -> Console:
    """Colours and live tables on a terminal, plain lines anywhere else, nothing where it is quiet. Brackets are no
    markup; COLUMNS is heeded."""
    if quiet:
        return Screen(quiet=True, force_terminal=False)
    if sys.stdout.isatty() and not plain:
        # rich takes a COLUMNS of 0 for a width
        environ = {key: value for key, value in os.environ.items() if key != "COLUMNS" or columns_asked()}
        return Screen(highlight=False, markup=False, _environ=environ)
    file: Any = Unpadded(sys.stdout)
    return Screen(
        highlight=False,
        markup=False,
        color_system=None,
        file=file,
        width=columns_asked() or PIPED,
        force_terminal=False,
    )


def print_json(facts: Mapping[str, Any], *, lines: bool = False) -> None:
    """Facts for programs, with the version of their schema. lines: all in a line, where several follow each other."""
    text = json.dumps(facts_of({"schema": SCHEMA, **facts}), indent=None if lines else 1)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def facts_of(value: Any) -> Any:
    """The same in JSON's own types: dataclasses are objects, undefined numbers null, paths and the like text."""
    if hasattr(value, "tolist"):  # numpy's
        value = value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: facts_of(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): facts_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [facts_of(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or type(value) in (bool, int, str) else str(value)


def columns_asked() -> int | None:
    """How wide lines may be, where the environment says so."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() and int(columns) else None


def say(out: Console, text: str) -> None:
    """Print a line as it is, so that it can be copied; folded only where no terminal is and COLUMNS says how wide."""
    out.print(text, soft_wrap=out.is_terminal or columns_asked() is None)


def warn(out: Console, text: str, kind: str = "warning") -> None:
    """Print a warning, or what else must be known, by its kind; to standard error where nothing else is printed."""
    if out.quiet:
        sys.stderr.write(f"{kind}: {visible(text)}\n")
    else:
        say(out, f"{kind}: {text}")


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
