"""What is wrong with values of a method's config keys."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workloads.errors import Problem, nearest
from workloads.keys import config_problems, leaves_precision_open
from workloads.registry import method


@cache
def adapter_of(config: type) -> TypeAdapter[Any]:
    """Checks and converts a method's config; building one is slow, a grid needs hundreds."""
    return TypeAdapter(config)


def config_adapter(workload: str) -> TypeAdapter[Any]:
    return adapter_of(method(workload).Config)


def value_problems(workload: str, key: str, value: Any) -> Iterator[str]:
    """What is wrong with one value of one config key of a workload."""
    method_type = method(workload)
    names = [field.name for field in fields(method_type.Config)]
    if key not in names:
        yield f"no such key of {workload}; {nearest(key, names)}"
        return
    try:
        config = config_adapter(workload).validate_python({key: value})
    except ValidationError as error:
        yield from (f"{item['msg'][:1].lower()}{item['msg'][1:]}, found {value!r}" for item in error.errors()[:1])
        return
    yield from (f"{message}, found {value!r}" for bad, message in config_problems(config) if bad == key)


def problems_of(workload: str, values: dict[str, Any]) -> list[Problem]:
    return [Problem(key, text) for key, value in values.items() for text in value_problems(workload, key, value)]


def equal_values(workload: str, key: str, values: Sequence[Any]) -> Iterator[Problem]:
    """Values of an axis that the method reads as one, such as 0 and 0.0, or that become one when the run is opened:
    their trials would be one and the same."""
    if any(leaves_precision_open(method(workload).Config, {key: value}) for value in values):
        yield Problem(key, "'auto' becomes another value when the run is opened; name fp32 and bf16")
    first: dict[str, Any] = {}
    for value in values:
        read = getattr(config_adapter(workload).validate_python({key: value}), key)
        before = first.setdefault(repr(read), value)
        if repr(before) != repr(value):
            yield Problem(key, f"{before!r} and {value!r} are one value, {read!r}; leave one of them out")
