"""Launches and reports without what a test is not about."""

from contextlib import nullcontext

import pytest

PICTURES = dict.fromkeys(("effects.svg", "cost.svg"), (b"<svg></svg>", b"<svg></svg>"))


@pytest.fixture(scope="module")
def undrawn():
    """Reports have no plots and charts of a blank, which would take half of their seconds: the tests of plots, of pages
    and of whole launches are about those."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.results.report.plots.drawn", lambda *_: {})
        patch.setattr("orchestrator.results.report.plots.drawn_sweep", lambda *_: PICTURES)
        yield


@pytest.fixture(scope="module")
def unmirrored(undrawn):
    """Nor do launches hand anything to MLflow, which takes a third of a small one's: the tests of tracking and of whole
    launches are about that. All else of a launch and its report is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.execution.launch.mirrored", lambda *_: nullcontext())
        yield
