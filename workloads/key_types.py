"""Values of config keys, checked by the keys' types where pydantic need not be installed."""

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from workloads.errors import Problem, nearest, several
from workloads.keys import config_problems
from workloads.method import Method


def configured(method: type[Method], values: Mapping[str, Any]) -> Any:
    """A method's config with these values. Raises UserError with every unknown key and every value that does not fit.

    What pydantic does where it is installed, for lists, whole numbers of real keys, and types that are plain.
    """
    config_class, name = method.Config, method.name
    hints, names = get_type_hints(config_class), [item.name for item in fields(config_class)]
    problems = [Problem(key, f"no such key of {name}; {nearest(key, names)}") for key in values if key not in names]
    chosen = {key: converted(value, hints[key]) for key, value in values.items() if key in names}
    wrong_types = [key for key, value in chosen.items() if not fits(value, hints[key])]
    problems += [Problem(key, f"takes {described(hints[key])}, found {chosen[key]!r}") for key in wrong_types]
    config = config_class(**{key: value for key, value in chosen.items() if key not in wrong_types})
    problems += [Problem(*problem) for problem in config_problems(config)]
    if problems:
        raise several(problems, f"the config of {name}")
    return config


def converted(value: Any, hint: Any) -> Any:
    """A list as a tuple, a NumPy scalar as Python's own, a whole number as a real one where the key is real."""
    value = value.item() if isinstance(value, np.generic) else tuple(value) if isinstance(value, list) else value
    return float(value) if hint is float and type(value) is int else value


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a key's type: plain types, Literal, tuples and unions of them."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in inner
    if kind in (Union, UnionType):
        return any(fits(value, item) for item in inner)
    if kind is tuple:
        if not isinstance(value, tuple):
            return False
        expected = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(expected) == len(value) and all(map(fits, value, expected))
    if hint in (int, float):
        return isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def described(hint: Any) -> str:
    """A key's type in words."""
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    return hint.__name__ if isinstance(hint, type) and not get_origin(hint) else str(hint)
