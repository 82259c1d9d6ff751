"""Flows: the general flow trained once, every score in the table, and fewer workers of real Ray than were asked for.

Two that share every batch are on two nodes, in `test_cluster`. Also what is done with a run afterwards: scoring a
folder, and holding it beside another run.
"""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import orchestrator
from orchestrator.results.comparison import compare
from tests.helpers.flow_runs import assert_same_flows, bare, flows_of, launched, trial_of


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The point on one worker, in this process."""
    return launched(tmp_path_factory.mktemp("one"), "one", "local", workers=1)


@pytest.fixture(scope="module")
def fewer(cluster, one, tmp_path_factory):
    """Two workers with two CPUs each are asked for, and there is room for one."""
    return bare(tmp_path_factory.mktemp("fewer"), "fewer", one, workers=2, min_workers=1, cpus_per_worker=2.0)


def table_of(paths):
    return pq.read_table(str(paths.trial(trial_of(paths).id).scores(1000))).to_pandas()


def test_one_general_flow_serves_both_classes(one):
    assert list(trial_of(one).stages) == ["flow/general/flow"]
    assert len(flows_of(one)) == 3


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
