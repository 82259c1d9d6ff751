"""A launch without what its tests here are not about."""

from contextlib import nullcontext

import pytest

PICTURES = dict.fromkeys(("effects.svg", "cost.svg"), (b"<svg></svg>", b"<svg></svg>"))


@pytest.fixture(scope="module")
def unmirrored():
    """Launches draw no charts and hand nothing to MLflow, which take half of a small one's seconds: the tests of
    reports, of MLflow and of whole launches are about those. All else of a launch and its report is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.execution.launch.mirrored", lambda *_: nullcontext())
        patch.setattr("orchestrator.results.report.plots.drawn", lambda *_: {})
        patch.setattr("orchestrator.results.report.plots.drawn_sweep", lambda *_: PICTURES)
        yield
