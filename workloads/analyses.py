"""Closer looks at what a method has trained. A method names them; a name is resolved when the analysis runs.

So a method and its analyses import each other in no circle, and a plan, which only needs the titles, loads no torch.
"""

import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workloads.training.seeds import derive_seed
from workloads.units import Analysis

if TYPE_CHECKING:  # planning needs no torch
    from workloads.data.view import TargetView
    from workloads.learner import Finding, Fitted
    from workloads.method import Method


OF_EVERY_METHOD: Mapping[str, Analysis] = {
    "examples": Analysis(
        "Test images with the lowest, the median and the highest score, with maps where the method gives them.",
        "workloads.scoring.examples:examples",
    )
}
"""Closer looks that need nothing of a method but its scores. Their functions take the method in place of its config."""


def analyses_of(method: "type[Method] | Method") -> dict[str, Analysis]:
    """What a method offers, and what every method does: by name."""
    return {**OF_EVERY_METHOD, **method.analyses}


def analyse(method: "Method", name: str, view: "TargetView", fitted: "Fitted") -> "Finding":
    """Run one of a method's analyses, or of every method's, for one target, whose whole view is on the device.

    Raises KeyError for another name.
    """
    function: Callable[[Any, TargetView, Fitted, int], Finding]
    function = pkgutil.resolve_name(analyses_of(method)[name].function)
    subject = method.config if name in method.analyses else method
    return function(subject, view, fitted, derive_seed(method.config.seed, name))
