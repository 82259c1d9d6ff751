"""Both ways of sharing work over real Ray Train workers, against one process with the same seed."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import copy_baselines, request_for, run
from workloads.training.checkpoint import load_state

pytestmark = pytest.mark.ray

# Float additions in another order, passed through Adam, which divides by the gradient's own size. Measured: 4e-7 in
# detectors, 2e-6 in generators; the weights themselves move by some 2e-4 in these few steps.
TOLERANCE = 2e-5
SETTINGS = ["generator_batch_size=16"]


@pytest.fixture(scope="module")
def runs(cluster, storage, tmp_path_factory):
    """The same point in this process, on two workers that share out the networks, and on two that share every batch."""
    done = {}
    for name, options in (
        ("one", {"executor": "local", "workers": 1}),
        ("units", {"workers": 2, "share": "units"}),
        ("batches", {"workers": 2, "share": "batches"}),
    ):
        own = tmp_path_factory.mktemp(name)  # a storage each, so that the generators are trained each way too
        if done:
            copy_baselines(done["one"], own)
        code, text = run(
            request_for(own, name=f"by-{name}", classes=["3"], points=1, scheduler="fifo", set=SETTINGS, **options)
        )
        assert code == 0, text
        done[name] = RunPaths(str(own), f"by-{name}")
    return done


def trial_of(paths):
    return next(iter(Ledger(paths).state.trials.values()))


def scores_of(paths):
    table = pq.read_table(str(paths.trial(trial_of(paths).id).scores(1000))).to_pandas()
    table = table.astype(dict.fromkeys(("target", "split", "part"), str))  # else sorted by order of appearance
    return table.sort_values(["target", "split", "part", "image_id"])["score"].to_numpy()


def parameters_of(paths, kind):
    """All network tensors of a run, by file, of its detectors or its generators."""
    root = paths.trial(trial_of(paths).id).folder / "units" if kind == "detectors" else paths.root / "stages"
    found = {}
    for manifest in sorted(root.rglob("manifest.json"), key=str):
        state = load_state(manifest.parent)
        if kind == "detectors":
            found[str(manifest.parent.relative_to(root))] = state["learner"]["net"]
        else:
            found[manifest.parent.name] = {k: v for k, v in state.items() if k.startswith("generator.")}
    return found


@pytest.mark.parametrize("share", ["units", "batches"])
@pytest.mark.parametrize("kind", ["detectors", "generators"])
def test_two_workers_reach_the_parameters_of_one(runs, share, kind):
    one, two = parameters_of(runs["one"], kind), parameters_of(runs[share], kind)
    assert one.keys() == two.keys()
    assert len(one) == (5 if kind == "detectors" else 3)
    for key, tensors in one.items():
        for name, value in tensors.items():
            torch.testing.assert_close(
                two[key][name].float(), value.float(), atol=TOLERANCE, rtol=0, msg=f"{key} {name}"
            )


@pytest.mark.parametrize("share", ["units", "batches"])
def test_two_workers_give_the_scores_of_one(runs, share):
    np.testing.assert_allclose(scores_of(runs[share]), scores_of(runs["one"]), atol=TOLERANCE)


def test_identity_does_not_depend_on_the_workers(runs):
    assert len({trial_of(paths).id for paths in runs.values()}) == 1
