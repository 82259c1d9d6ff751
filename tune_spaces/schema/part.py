"""What the parts of a space have in common: unknown keys are refused, and every error is reported at once."""

from collections.abc import Collection, Iterable
from contextvars import ContextVar
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from workloads.errors import Problem, nearest, several

WRITTEN = "as written"
LOADING: ContextVar[bool] = ContextVar("LOADING", default=False)
"""True while a space file runs: then a faulty part waits for its space, so that all errors are reported together."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(Strict):
    """A part of a space. In a space file it is built before the space; if it is faulty, the space checks it again."""

    def __init__(self, **values: Any) -> None:
        waits = LOADING.get()
        token = LOADING.set(False)  # a faulty part inside this one makes this one faulty
        try:
            super().__init__(**as_written(values))
        except ValidationError:
            if not waits:
                raise
            object.__setattr__(self, "__dict__", {WRITTEN: values})
        finally:
            LOADING.reset(token)


def as_written(value: Any) -> Any:
    """A faulty part as the values it was given, alone or in a dict or a list; anything else as it is."""
    if isinstance(value, Part):
        return as_written(value.__dict__[WRITTEN]) if WRITTEN in value.__dict__ else value
    if isinstance(value, list | tuple):
        return type(value)(map(as_written, value))
    return {k: as_written(v) for k, v in value.items()} if isinstance(value, dict) else value


def refuse(problems: Iterable[Problem]) -> None:
    """Raises UserError with all of the problems, if there are any."""
    if listed := list(problems):
        raise several(listed)


def known(kind: str, names: Collection[str]) -> AfterValidator:
    """A validator of a name that must be one of these."""

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"no such {kind}; {nearest(name, names)}")
        return name

    return AfterValidator(check)
