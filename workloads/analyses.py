"""Closer looks at what a method has trained. A method names them; a name is resolved when the analysis runs.

So a method and its analyses import each other in no circle, and a plan, which only needs the titles, loads no torch.
"""

import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workloads.training.seeds import derive_seed

if TYPE_CHECKING:  # planning needs no torch
    from workloads.data.view import TargetView
    from workloads.learner import Finding, Fitted
    from workloads.method import Method


def analyse(method: "Method", name: str, view: "TargetView", fitted: "Fitted") -> "Finding":
    """Run one of the method's `analyses` for one target, whose whole view is on the device.

    Raises KeyError for another name.
    """
    function: Callable[[Any, TargetView, Fitted, int], Finding] = pkgutil.resolve_name(method.analyses[name].function)
    return function(method.config, view, fitted, derive_seed(method.config.seed, name))
