"""ASHA stops a trial; on Ray, of a nested one (Tune around two Train workers) everything it held is free again."""

import time

import pytest

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run

# The first trial learns, the second cannot: compared after the first at half the schedule, it is stopped there.
# Levels 1 and 2 need no generators.
SPACE = """
from tune_spaces.schema import Data, Resources, Scheduler, Search, Space

SPACE = Space(
    data=Data(name="digits", side=16, classes=("0",)),
    fixed={"levels": (1, 2), "width": 0.125, "detector_epochs": 6},
    axes={"detector_lr": (1e-2, 1e-12)},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="asha", eta=3, first_rung=0.5),
    resources=Resources(workers=2),
)
"""


def stopped(storage, folder, executor):
    """A sweep whose second trial is stopped; that trial."""
    (folder / "stops.py").write_text(SPACE)
    code, text = run(request_for(storage, folder / "stops.py", name="stops", executor=executor, preset=None))
    assert code == 0, text
    good, bad = Ledger(RunPaths(str(storage), "stops")).state.trials.values()
    assert (good.state, bad.state) == ("finished", "stopped")
    return bad


def test_a_trial_that_learns_less_is_stopped_at_half_the_schedule(tmp_path):
    bad = stopped(tmp_path, tmp_path, "local")
    assert max(bad.rungs) == 500
    assert "auroc/0" in bad.rungs[500].numbers, "rungs report per-class values"


@pytest.mark.ray
@pytest.mark.slow
def test_a_stopped_trial_frees_all_it_held(cluster, tmp_path):
    stopped(tmp_path, tmp_path, "ray")
    total = cluster.cluster_resources()
    deadline = time.monotonic() + 60  # Ray's cleaner works in the background
    while cluster.available_resources() != total and time.monotonic() < deadline:
        time.sleep(0.5)
    free = cluster.available_resources()
    assert {k: free.get(k) for k in ("CPU", "memory")} == {k: total[k] for k in ("CPU", "memory")}
