"""A space as the file that declares it, to be read, copied and edited."""

import math
from typing import Any

from pydantic import BaseModel

from tune_spaces.schema.models import Space

WIDTH = 100
INDENT = " " * 4


def file_of(space: Space, doc: str) -> str:
    """A Python file whose `SPACE` equals the space; values that are the defaults are left out.

    doc: the file's docstring; empty for none.
    """
    names = sorted(names_in(space))
    parts = [*([docstring(doc)] if doc else []), f"from tune_spaces.schema import {', '.join(names)}"]
    return "\n\n".join([*parts, f"SPACE = {code(space)}\n"])


def docstring(doc: str) -> str:
    return repr(doc) if '"""' in doc or "\\" in doc or doc.endswith('"') else f'"""{doc}"""'


def changed(part: BaseModel) -> dict[str, Any]:
    """Key -> value, of the keys whose values are not the defaults."""
    defaults = {
        key: ... if field.is_required() else field.get_default(call_default_factory=True)
        for key, field in type(part).model_fields.items()
    }
    return {key: getattr(part, key) for key, default in defaults.items() if getattr(part, key) != default}


def names_in(value: Any) -> set[str]:
    """The types of all parts that `code` writes out."""
    if isinstance(value, BaseModel):
        return {type(value).__name__}.union(*map(names_in, changed(value).values()))
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return set().union(*map(names_in, values))


def literal(value: Any) -> str:
    text = repr(value)
    if isinstance(value, str) and '"' not in text:
        return f'"{text[1:-1]}"'
    return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else text


def code(value: Any, indent: str = "") -> str:
    """The expression of a value, over several lines where it does not fit into one."""
    deeper = indent + INDENT
    if isinstance(value, BaseModel):
        ends = (f"{type(value).__name__}(", ")")
        items = [f"{key}={code(item, deeper)}" for key, item in changed(value).items()]
    elif isinstance(value, dict):
        ends, items = ("{", "}"), [f"{literal(key)}: {code(item, deeper)}" for key, item in value.items()]
    elif isinstance(value, list | tuple):
        ends = ("[", "]") if isinstance(value, list) else ("(", ")")
        items = [code(item, deeper) for item in value]
    else:
        return literal(value)
    line = ends[0] + ", ".join(items) + ("," if isinstance(value, tuple) and len(items) == 1 else "") + ends[1]
    if not items or not (isinstance(value, Space) or "\n" in line or len(indent + line) > WIDTH):
        return line
    return "\n".join([ends[0], *(f"{deeper}{item}," for item in items), indent + ends[1]])
