"""Runs side by side: one table without mixed kinds, rank correlations over the images that both have scored."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from orchestrator.data.split_store import SplitStore
from orchestrator.record.events import Identity, RungReached, State, TrialAdded, TrialMoved
from orchestrator.record.paths import RunPaths
from orchestrator.results.comparison import compare, write
from orchestrator.results.evaluation import read_table, write_table
from tests.helpers.records import ledger_at, measured, opened, trial_plan
from workloads.data.images import LabelledImages
from workloads.data.splits import Splits, Targets
from workloads.errors import Kind, UserError
from workloads.scoring.metrics import contests
from workloads.scoring.table import rows

IDS = [f"digits/{i}" for i in range(30)]
OUT = [f"other/{i}" for i in range(25)]


def made_run(storage, name, schedule, seed, ids=IDS, out=OUT, digest="d" * 16, space="flow_digits_fashion", **keys):
    """A finished run of a dataset that is normal as a whole, its scores drawn by `seed`; the scores by image.

    keys: of the space's `fixed`.
    """
    random = np.random.default_rng(seed)
    own, others = random.normal(size=len(ids)), random.normal(1, size=len(out))
    begun = opened(space, schedule=schedule, targets=("digits",), identity=Identity(digest, "c" * 12))
    data, fixed = begun.space["data"] | {"out": ["fashion_mnist"]}, begun.space["fixed"] | keys
    blocks = []
    for part in ("likelihood", "all"):
        blocks.append(rows("digits", "test", part, ids, ["3"] * len(ids), np.zeros(len(ids), bool), own))
        stranger = ["fashion_mnist"] * len(out)
        blocks.append(rows("digits", "out/fashion_mnist", part, out, stranger, np.ones(len(out), bool), others))
    table = pa.concat_tables(blocks).unify_dictionaries()
    area = {"auroc_out/fashion_mnist/digits": 0.8, "auroc_out/mean": 0.8}
    paths, ledger = ledger_at(storage, name, replace(begun, space=begun.space | {"data": data, "fixed": fixed}))
    point = {key: values[0] for key, values in begun.space["axes"].items()}
    for event in (
        TrialAdded(trial_plan("w", point)),
        TrialMoved("w", State.RUNNING),
        RungReached("w", 1000, measured(bits_per_dim=1.0, contrastive=1.0, **area)),
        TrialMoved("w", State.FINISHED),
    ):
        ledger.append(event)
    write_table(paths.trial("w").scores(1000), table)
    return dict(zip([*ids, *out], [*own, *others], strict=True))


def test_models_are_correlated_over_the_images_that_both_have(tmp_path):
    one = made_run(tmp_path, "one", "reduced", 1)
    two = made_run(tmp_path, "two", "paper", 2, IDS[10:])
    found = compare(str(tmp_path), ["one", "two"], "likelihood")
    assert found.table.notes == ("`all` is the detector's own score. Normal are all test images of DIGITS.",)  # of both
    both = sorted(one.keys() & two.keys())
    expected = spearmanr([one[k] for k in both], [two[k] for k in both]).statistic
    assert found.shared.tolist() == [[55, 45], [45, 45]]
    assert found.correlations[0, 1] == pytest.approx(expected, abs=1e-6)
    assert found.correlations[0, 1] == found.correlations[1, 0]
    assert np.diag(found.correlations) == pytest.approx([1, 1])


def test_rows_keep_their_kinds_apart_and_carry_the_runs_names(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    made_run(tmp_path, "two", "smoke", 2)
    table = compare(str(tmp_path), ["one", "two"], "all").table
    kinds = {row.name: row.kind for row in table.rows}
    assert kinds == {"one": "measured (reduced preset)", "two": "measured (smoke preset)"}
    assert table.classes == ("FASHION_MNIST",)


def test_runs_keep_whether_their_rows_are_rivals(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    made_run(tmp_path, "two", "reduced", 2)
    assert not compare(str(tmp_path), ["one", "two"], "all").table.rivals


def test_a_run_beside_itself_is_refused(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    with pytest.raises(UserError, match="the run 'one' is named twice") as refused:
        compare(str(tmp_path), ["one", "one"], "all")
    assert refused.value.kind == Kind.USAGE


def test_too_few_shared_images_give_no_number(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    made_run(tmp_path, "two", "reduced", 2)
    for paths in (RunPaths(str(tmp_path), name) for name in ("one", "two")):
        path = paths.trial("w").scores(1000)
        write_table(path, read_table(path).slice(0, 9))
    found = compare(str(tmp_path), ["one", "two"], "likelihood")
    assert np.isnan(found.correlations).all()


def test_a_part_or_run_that_is_not_there_names_the_nearest(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    with pytest.raises(UserError, match="has no scores 'likelyhood'") as refused:
        compare(str(tmp_path), ["one"], "likelyhood")
    assert "did you mean 'likelihood'" in refused.value.details
    assert refused.value.kind == Kind.USAGE
    with pytest.raises(UserError, match="no run 'tow'"):
        compare(str(tmp_path), ["one", "tow"], "all")


def test_files_say_what_was_found(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    made_run(tmp_path, "two", "reduced", 2)
    found = compare(str(tmp_path), ["one", "two"], "likelihood")
    paths = {path.name: path for path in write(found, tmp_path / "out", "likelihood")}
    assert paths["correlation.csv"].read_text().splitlines()[0] == ",one,two"
    assert f"{found.correlations[0, 1]:.6f}" in paths["correlation.csv"].read_text()
    assert paths["auroc.csv"].read_text().startswith("name,kind,leak,note,FASHION_MNIST")
    assert paths["correlation.png"].read_bytes().startswith(b"\x89PNG")


def kept(storage, test, out, name="fashion_mnist"):
    """The data digest of splits that a storage keeps, with these test images and this out set: (id, pixel) each."""

    def images(pairs):
        pixels = np.stack([np.full((1, 4, 4), pixel, np.uint8) for _, pixel in pairs])
        return LabelledImages(pixels, np.zeros(len(pairs), np.int64), tuple(item for item, _ in pairs))

    learnt = images([("digits/train/0", 250), ("digits/train/1", 251)])
    splits = Splits(learnt, learnt, images(test), Targets(("digits",), ("digits",)), out={name: images(out)})
    SplitStore(RunPaths(str(storage), "run")).keep(splits)
    return splits.digest


def test_an_image_is_the_same_in_runs_of_other_data_and_another_of_its_name_is_not(tmp_path):
    ids = [f"cat-{i}.png" for i in range(20)]
    noise = [f"noise/{i:05d}" for i in range(15)]
    same = [(item, i) for i, item in enumerate(ids)]
    one = kept(tmp_path, same, [(item, 100 + i) for i, item in enumerate(noise)])
    two = kept(tmp_path, same[:12] + [(item, 50 + i) for i, item in enumerate(ids[12:])], [(noise[0], 200)])
    made_run(tmp_path, "one", "smoke", 1, ids, noise, digest=one)
    made_run(tmp_path, "two", "smoke", 2, ids, noise[:1], digest=two)
    found = compare(str(tmp_path), ["one", "two"], "likelihood")
    assert found.shared.tolist() == [[35, 12], [12, 21]]
    assert np.isfinite(found.correlations[0, 1])


def test_equal_names_of_data_that_is_gone_are_not_taken_for_equal_images(tmp_path):
    made_run(tmp_path, "one", "smoke", 1)
    made_run(tmp_path, "two", "smoke", 2, digest="e" * 16)
    found = compare(str(tmp_path), ["one", "two"], "likelihood")
    assert found.shared[0, 1] == 0
    assert np.isnan(found.correlations[0, 1])


def test_groups_are_compared_only_where_the_same_images_meet_in_them(tmp_path):
    ids = [f"group-5/{i:05d}" for i in range(20)]

    def run(name, seed, **changes):
        made_run(tmp_path, name, "smoke", seed, ids, ids, space="klods_digits_fashion", **changes)

    run("one", 1, group_seed=0)
    run("same", 2, group_seed=0)
    run("seed", 3, group_seed=1)
    run("other", 4, group_seed=0, digest="e" * 16)
    found = compare(str(tmp_path), ["one", "same", "seed", "other"], "all")
    assert found.shared[0].tolist() == [40, 40, 0, 0], "groups of the test and of an out set are numbered alike"
    assert len(found.notes) == 5
    assert "one and seed scored other groups" in found.notes[0]


def test_what_could_not_be_scored_is_no_score_to_correlate(tmp_path):
    made_run(tmp_path, "one", "smoke", 1)
    made_run(tmp_path, "two", "smoke", 2)
    path = RunPaths(str(tmp_path), "one").trial("w").scores(1000)
    table = read_table(path)
    values = np.where(np.arange(len(table)) % 30 == 0, np.inf, table["score"].to_numpy())
    write_table(path, table.set_column(table.column_names.index("score"), "score", pa.array(values, pa.float32())))
    found = compare(str(tmp_path), ["one", "two"], "likelihood")
    assert found.shared[0, 1] == 55 - 2
    assert np.isfinite(found.correlations[0, 1])
    (pair,) = found.pairs
    (item,) = pair.classes.values()
    assert item.images == (30, 25), "a paired test ranks it above all, as the tables do"
    ranked = [contests(read_table(file), "likelihood") for file in files_of(tmp_path, "one", "two")]
    first, second = (areas["auroc_out/fashion_mnist/digits"].auroc() for areas in ranked)
    assert item.value == pytest.approx(first - second, abs=1e-6)


def files_of(storage, *runs):
    return [RunPaths(str(storage), run).trial("w").scores(1000) for run in runs]
