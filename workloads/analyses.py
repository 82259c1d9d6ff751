"""Closer looks at what a method has trained. A method names them; a name is resolved when the analysis runs.

So a method and its analyses import each other in no circle, and a plan, which only needs the titles, loads no torch.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workloads.training.seeds import derive_seed

if TYPE_CHECKING:  # planning needs no torch
    from workloads.method import Finding, Method, Trained


@dataclass(frozen=True)
class Analysis:
    """title: what it shows, in a line. function: ``package.module:name`` of a (config, trained, seed) -> `Finding`."""

    title: str
    function: str


def analyse(method: "Method", name: str, trained: "Trained") -> "Finding":
    """Run one of the method's `analyses` for one target. Raises KeyError for another name."""
    function: Callable[[Any, Trained, int], Finding] = pkgutil.resolve_name(method.analyses[name].function)
    return function(method.config, trained, derive_seed(method.config.seed, name))
