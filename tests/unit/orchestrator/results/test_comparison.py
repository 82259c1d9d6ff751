"""Runs side by side: one table without mixed kinds, rank correlations over the images that both have scored."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from orchestrator.record.events import RungReached, State, TrialMoved
from orchestrator.record.paths import RunPaths
from orchestrator.results.comparison import compare, write
from orchestrator.results.evaluation import read_table, write_table
from tests.helpers.records import ledger_at, measured, opened
from workloads.errors import Kind, UserError
from workloads.scoring.table import rows

IDS = [f"digits/{i}" for i in range(30)]
OUT = [f"other/{i}" for i in range(25)]


def made_run(storage, name, schedule, seed, ids=IDS):
    """A finished run of a dataset that is normal as a whole, its scores drawn by `seed`; the scores by image."""
    random = np.random.default_rng(seed)
    own, out = random.normal(size=len(ids)), random.normal(1, size=len(OUT))
    begun = opened("flow_digits_fashion", schedule=schedule, targets=("digits",))
    paths, _ = ledger_at(
        storage,
        name,
        replace(begun, space=begun.space | {"data": begun.space["data"] | {"out": ["fashion_mnist"]}}),
        TrialMoved("t", State.RUNNING),
        RungReached("t", 1000, measured(bits_per_dim=1.0)),
        TrialMoved("t", State.FINISHED),
    )
    blocks = []
    for part in ("likelihood", "all"):
        blocks.append(rows("digits", "test", part, ids, ["3"] * len(ids), np.zeros(len(ids), bool), own))
        stranger = ["fashion_mnist"] * len(OUT)
        blocks.append(rows("digits", "out/fashion_mnist", part, OUT, stranger, np.ones(len(OUT), bool), out))
    write_table(paths.trial("t").scores(1000), pa.concat_tables(blocks).unify_dictionaries())
    return dict(zip([*ids, *OUT], [*own, *out], strict=True))


def test_models_are_correlated_over_the_images_that_both_have(tmp_path):
    one = made_run(tmp_path, "one", "reduced", 1)
    two = made_run(tmp_path, "two", "paper", 2, IDS[10:])
    found = compare(str(tmp_path), ["one", "two"], "likelihood")
    both = sorted(one.keys() & two.keys())
    expected = spearmanr([one[k] for k in both], [two[k] for k in both]).statistic
    assert found.shared.tolist() == [[55, 45], [45, 45]]
    assert found.correlations[0, 1] == pytest.approx(expected, abs=1e-6)
    assert found.correlations[0, 1] == found.correlations[1, 0]
    assert np.diag(found.correlations) == pytest.approx([1, 1])


def test_rows_keep_their_kinds_apart_and_carry_the_runs_names(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    made_run(tmp_path, "two", "paper", 2)
    table = compare(str(tmp_path), ["one", "two"], "all").table
    kinds = {row.name: row.kind for row in table.rows}
    assert kinds == {"one": "measured (reduced preset)", "two": "measured (paper schedule)"}
    assert table.classes == ("FASHION_MNIST",)


def test_too_few_shared_images_give_no_number(tmp_path):
    made_run(tmp_path, "one", "reduced", 1)
    made_run(tmp_path, "two", "reduced", 2)
    for paths in (RunPaths(str(tmp_path), name) for name in ("one", "two")):
        path = paths.trial("t").scores(1000)
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
