"""Images that the object store has no room for reach a worker of a launch by Ray Data."""

import pytest

from orchestrator.execution.on_ray import images
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run

pytestmark = pytest.mark.ray


def numbers(storage, name):
    """Every number of a run's only trial, but for seconds."""
    (trial,) = Ledger(RunPaths(str(storage), name)).state.trials.values()
    return {rung: measured.numbers for rung, measured in trial.rungs.items()}


def test_images_that_do_not_fit_into_the_object_store_give_the_same_numbers(cluster, tmp_path, monkeypatch):
    """As the images of one process. That those that fit do so, too, `contract/test_executors` compares to the bit."""
    monkeypatch.setattr(images, "FITTING", 0)
    for name, executor in (("streamed", "ray"), ("local", "local")):
        options = {"classes": ["3"], "points": 1, "scheduler": "fifo", "executor": executor, "slots": 1}
        code, text = run(request_for(tmp_path / name, name=name, **options))
        assert code == 0, text
    assert numbers(tmp_path / "streamed", "streamed") == numbers(tmp_path / "local", "local")
