"""Flows over real Ray: the general flow trained once, every score in the table, and two workers that share a batch."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import request_for, run

from orchestrator.ledger import Ledger
from orchestrator.places import Places
from workloads.checkpoint import load_state

pytestmark = pytest.mark.ray

# Float additions in another order, passed through Adamax, which divides by the gradient's own size; the weights move by
# 5e-4 a step.
TOLERANCE = 2e-5
POINT = ["score=final_scale", "outlier_loss=ratio", "batch_size=15", "epochs=1.0"]  # 15: unequal rows


@pytest.fixture(scope="module")
def runs(cluster, tmp_path_factory):
    """The same point on one worker and on two that share every batch; a storage each, so each trains all."""
    done = {}
    for name, options in (("one", {"workers": 1}), ("two", {"workers": 2, "split": "data"})):
        own = tmp_path_factory.mktemp(name)
        options |= {"points": 1, "classes": ["3", "8"], "set": POINT}
        code, text = run(request_for(own, "flow_digits", name=f"flows-{name}", **options))
        assert code == 0, text
        done[name] = Places(str(own), f"flows-{name}")
    return done


def trial_of(places):
    return next(iter(Ledger(places).state.trials.values()))


def table_of(places):
    return pq.read_table(str(places.trial(trial_of(places).id).scores(1000))).to_pandas()


def flows_of(places):
    """Unit -> weights of every flow of a run."""
    trial = trial_of(places)
    folders = {unit: places.stage(key) for unit, key in trial.stages.items()}
    states = {unit: load_state(folder) for unit, folder in folders.items()}
    units = places.trial(trial.id).folder / "units"
    for manifest in units.rglob("manifest.json"):
        states[str(manifest.parent.relative_to(units))] = load_state(manifest.parent)["learner"]
    return {unit: state["net"] for unit, state in states.items()}


def test_one_general_flow_serves_both_classes(runs):
    assert list(trial_of(runs["one"]).stages) == ["flow/general/flow"]
    assert len(flows_of(runs["one"])) == 3


def test_two_workers_with_unequal_rows_reach_the_flows_of_one(runs):
    one, two = flows_of(runs["one"]), flows_of(runs["two"])
    assert one.keys() == two.keys()
    for unit, weights in one.items():
        for name, value in weights.items():
            torch.testing.assert_close(
                two[unit][name].float(), value.float(), atol=TOLERANCE, rtol=0, msg=f"{unit} {name}"
            )


def test_the_ratio_is_the_difference_of_both_likelihoods_and_the_whole_is_the_named_score(runs):
    table = table_of(runs["one"]).query("target == '3' and split in ('test', 'out/noise')")
    wide = table.pivot(index="image_id", columns="part", values="score")
    nats = (wide["likelihood"] - wide["general_likelihood"]) * 256 * math.log(2)
    np.testing.assert_allclose(wide["ratio"], nats, rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(wide["all"], wide["final_scale"])


def test_held_out_general_images_choose_the_winner(runs):
    table = table_of(runs["one"])
    proxies = table[table["split"] == "general/val"]
    assert set(proxies["part"]) == set(table["part"]) - {"all"}
    assert proxies["anomalous"].all()
    numbers = trial_of(runs["one"]).rungs[1000]
    assert 0 <= numbers["contrastive"] <= 1
    held_out = table[(table["split"] == "val") & (table["part"] == "likelihood")]
    expected = held_out.groupby("target", observed=True)["score"].mean().mean()
    assert numbers["bits_per_dim"] == pytest.approx(expected, rel=1e-6)
