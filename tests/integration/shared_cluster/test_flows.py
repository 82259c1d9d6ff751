"""Flows: the general flow trained once, every score in the table, and two workers of real Ray that share a batch.

Also what is done with a run afterwards: scoring a folder, and holding it beside another run.
"""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import orchestrator
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.results.comparison import compare
from tests.helpers.launches import request_for, run
from workloads.training.checkpoint import load_state

# Float additions in another order, passed through Adamax, which divides by the gradient's own size; the weights move by
# 5e-4 a step.
TOLERANCE = 2e-5
POINT = ["score=final_scale", "outlier_loss=ratio", "batch_size=15", "epochs=1.0", "lr=5e-4"]  # 15: unequal rows


def launched(folders, name, executor, **options):
    """The one point in a storage of its own, so that everything is trained."""
    own = folders.mktemp(name)
    options |= {"points": 1, "classes": ["3", "8"], "set": POINT}
    code, text = run(request_for(own, "flow_digits", name=f"flows-{name}", executor=executor, **options))
    assert code == 0, text
    return RunPaths(str(own), f"flows-{name}")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The point on one worker, in this process."""
    return launched(tmp_path_factory, "one", "local", workers=1)


@pytest.fixture(scope="module")
def two(cluster, tmp_path_factory):
    """The same point on two workers of Ray that share every batch."""
    return launched(tmp_path_factory, "two", "ray", workers=2, share="batches")


@pytest.fixture(scope="module")
def fewer(cluster, tmp_path_factory):
    """Two workers with two CPUs each are asked for, and there is room for one."""
    return launched(tmp_path_factory, "fewer", "ray", workers=2, min_workers=1, cpus_per_worker=2.0, share="batches")


def trial_of(paths):
    return next(iter(Ledger(paths).state.trials.values()))


def table_of(paths):
    return pq.read_table(str(paths.trial(trial_of(paths).id).scores(1000))).to_pandas()


def flows_of(paths):
    """Unit -> weights of every flow of a run."""
    trial = trial_of(paths)
    folders = {unit: paths.stage(key) for unit, key in trial.stages.items()}
    states = {unit: load_state(folder) for unit, folder in folders.items()}
    units = paths.trial(trial.id).folder / "units"
    for manifest in units.rglob("manifest.json"):
        states[str(manifest.parent.relative_to(units))] = load_state(manifest.parent)["learner"]
    return {unit: state["net"] for unit, state in states.items()}


def test_one_general_flow_serves_both_classes(one):
    assert list(trial_of(one).stages) == ["flow/general/flow"]
    assert len(flows_of(one)) == 3


def assert_same_flows(one, other):
    one, other = flows_of(one), flows_of(other)
    assert one.keys() == other.keys()
    for unit, weights in one.items():
        for name, value in weights.items():
            torch.testing.assert_close(
                other[unit][name].float(), value.float(), atol=TOLERANCE, rtol=0, msg=f"{unit} {name}"
            )


@pytest.mark.ray
def test_two_workers_with_unequal_rows_reach_the_flows_of_one(one, two):
    assert_same_flows(one, two)


@pytest.mark.ray
def test_a_run_with_fewer_workers_than_asked_reaches_the_flows_of_one(one, fewer):
    assert_same_flows(one, fewer)
    assert trial_of(fewer).id == trial_of(one).id


def test_a_folder_is_scored_by_every_score_with_the_general_flow_read_back(one, tmp_path):
    images, out = tmp_path / "images", tmp_path / "rows.parquet"
    images.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(256, size=(16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
    orchestrator.predict(one.run, images, target="3", false_alarms=0.5, out=out, storage=str(one.root))
    scores = pq.read_table(out)
    assert scores.num_rows == 2
    assert {"image", "score", *table_of(one)["part"].unique()} - {"all"} <= set(scores.column_names)
    assert scores["score"].equals(scores["final_scale"])
    nats = (np.array(scores["likelihood"]) - np.array(scores["general_likelihood"])) * 256 * math.log(2)
    np.testing.assert_allclose(scores["ratio"], nats, rtol=1e-4, atol=1e-2)


def test_models_of_two_classes_are_correlated_by_any_score(one):
    found = compare(str(one.root), ["flows-one"], "likelihood")
    assert [model.name for model in found.models] == ["flows-one/3", "flows-one/8"]
    assert -1 <= found.correlations[0, 1] < 1
    assert found.shared[0, 1] == len(found.models[0].scores)


def test_the_ratio_is_the_difference_of_both_likelihoods_and_the_whole_is_the_named_score(one):
    table = table_of(one).query("target == '3' and split in ('test', 'out/noise')")
    wide = table.pivot(index="image_id", columns="part", values="score")
    nats = (wide["likelihood"] - wide["general_likelihood"]) * 256 * math.log(2)
    np.testing.assert_allclose(wide["ratio"], nats, rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(wide["all"], wide["final_scale"])


def test_held_out_general_images_choose_the_winner(one):
    table = table_of(one)
    proxies = table[table["split"] == "general/val"]
    assert set(proxies["part"]) == set(table["part"]) - {"all"}
    assert proxies["anomalous"].all()
    numbers = trial_of(one).rungs[1000].numbers
    assert 0 <= numbers["contrastive"] <= 1
    held_out = table[(table["split"] == "val") & (table["part"] == "likelihood")]
    expected = held_out.groupby("target", observed=True)["score"].mean().mean()
    assert numbers["bits_per_dim"] == pytest.approx(expected, rel=1e-6)
