"""Promises that a launch does not keep on purpose: the harness must notice each of them."""

from collections.abc import Callable

REGRESSIONS: dict[str, Callable[[], None]] = {}
