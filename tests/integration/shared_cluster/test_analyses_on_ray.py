"""An analysis of a run's winner as a task on Ray."""

import json

import pytest

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import analyse_run, request_for, run


@pytest.mark.ray
def test_an_analysis_runs_on_ray_as_well(cluster, storage):
    code, text = run(request_for(storage, "sweep_digits", name="plain", executor="local", points=1, classes=["3"]))
    assert code == 0, text
    paths = RunPaths(str(storage), "plain")
    analyse_run(paths, ["maps"], executor="ray")
    state = Ledger(paths).state
    for target in state.opened.targets:
        assert not state.analyses[f"maps/{target}"].error
        assert json.loads(paths.analysis("maps", target).read_text())["trial"] == next(iter(state.trials))
