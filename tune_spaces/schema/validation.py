"""Pydantic's errors in our words, each with its key and the nearest valid name."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from workloads.errors import Problem, UserError, nearest

RENAMED = {"general": "it is called 'auxiliary'", "split": "it is called 'share'"}
"""Keys of earlier versions, and what is said of them."""


def fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Field names of the nested model a pydantic error location points into."""
    for step in path:
        field = model.model_fields.get(str(step))
        inner = getattr(field, "annotation", None)
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            candidates = [a for a in getattr(inner, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
            if field is None or not candidates:
                break
            inner = candidates[0]
        model = inner
    return list(model.model_fields)


def from_validation(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """Pydantic's errors in our words; a validator's `UserError` is unpacked into its parts."""
    for item in error.errors():
        path, key = item["loc"], ".".join(map(str, item["loc"]))
        context: dict[str, Any] = item.get("ctx") or {}
        if isinstance(cause := context.get("error"), UserError) and cause.problems:
            for problem in cause.problems:
                yield Problem(f"{key}.{problem.key}" if key else problem.key, problem.message)
        elif item["type"] == "extra_forbidden":
            name = str(path[-1])
            hint = RENAMED.get(name) or nearest(name, fields_at(model, path[:-1]))
            yield Problem(key, f"no such key; {hint}")
        elif item["type"] == "literal_error":
            yield Problem(key, f"found {item['input']!r}, expected {context['expected']}")
        else:
            value = "" if item["type"] == "missing" else f", found {item['input']!r}"
            message = item["msg"].removeprefix("Value error, ")
            yield Problem(key, f"{message[:1].lower()}{message[1:]}{value}")
