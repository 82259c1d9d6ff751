"""Analyses are named by their methods and resolved when they run."""

import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from workloads.registry import WORKLOADS

ANALYSES = [(name, analysis) for name, method in WORKLOADS.items() for analysis in method.analyses.values()]


@pytest.mark.parametrize(("method", "analysis"), ANALYSES, ids=lambda value: getattr(value, "function", value))
def test_the_name_of_an_analysis_leads_to_a_function_of_its_method(method, analysis):
    function = resolve_name(analysis.function)
    assert list(function.__annotations__) == ["config", "view", "fitted", "seed", "return"]
    assert issubclass(WORKLOADS[method].Config, function.__annotations__["config"])


def test_titles_are_known_without_torch():
    code = "import sys; sys.modules['torch'] = None; from workloads.registry import WORKLOADS as w; print(*w)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=True, timeout=60)
