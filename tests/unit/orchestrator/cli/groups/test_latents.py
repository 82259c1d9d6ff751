"""Latents of any flow from the command line: what is printed, what is written, what is refused."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from orchestrator.cli.groups.latents import score
from tests.helpers.commands import orchestrate
from tests.helpers.correlated import neighbours, white
from workloads.errors import Kind, UserError
from workloads.klods.latent_files import read
from workloads.scoring.metrics import auroc
from workloads.scoring.table import SCHEMA


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two levels as .npz archives; the anomalies' neighbours are correlated."""
    folder = tmp_path_factory.mktemp("latents")
    for seed, (name, count, rho) in enumerate([("train", 200, 0), ("test", 60, 0), ("odd", 60, 0.3)]):
        levels = [neighbours(count, shape, rho, seed) for shape in ((6, 8, 8), (12, 4, 4))]
        np.savez(folder / f"{name}.npz", **{f"z{i}": level.float() for i, level in enumerate(levels, 1)})
    return folder


def test_scores_print_auroc_and_join_the_common_table(files, tmp_path):
    out = tmp_path / "made" / "groups.parquet"
    options = ("--train", files / "train.npz", "--in", files / "test.npz", "--out", files / "odd.npz")
    done = orchestrate("latents", "score", *options, "--group-size", 1, "--group-size", 7, "--out-file", out)
    assert done.returncode == 0, done.stderr
    for expected in ("against odd", "groups of 7", "klods_prior", "god_2ks", "left over: 4 normal and 4 anomalous"):
        assert expected in done.stdout
    table = pq.read_table(out)
    assert table.schema.names == SCHEMA.names
    rows = table.to_pandas()
    assert set(rows.split) == {"test", "out/odd"}
    assert len(rows) == 2 * 6 * (60 + 8)
    whole = rows[rows.part == "klods_prior/7"]
    assert whole.image_id.iloc[3] == "group-7/00003"
    assert auroc(whole.score, whole.anomalous) > 0.99


def test_a_selection_sees_no_anomaly_and_gives_the_options_to_use(files):
    done = orchestrate("latents", "select", "--train", files / "train.npz", "--held-out", files / "test.npz")
    assert done.returncode == 0, done.stderr
    assert "chosen by shift, no anomaly seen: --split patches_2" in done.stdout
    assert "LEAK" not in done.stdout


def test_the_oracle_is_called_a_leak(files):
    options = ("--train", files / "train.npz", "--held-out", files / "test.npz", "--select-by", "oracle")
    assert "the oracle needs anomalies" in orchestrate("latents", "select", *options).stderr
    done = orchestrate("latents", "select", *options, "--out", files / "odd.npz")
    assert "chosen by oracle, which looks at anomalies: a LEAK" in done.stdout


def test_contaminated_groups_are_counted_and_said(files, tmp_path, capsys):
    options = files / "train.npz", files / "test.npz", [files / "odd.npz"]
    score(*options, group_size=[5], contamination=0.4, out_file=tmp_path / "groups.parquet")
    assert "groups of 5: 6 normal, 10 anomalous (2 anomalies in each)" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "groups.parquet").to_pandas()
    counts = rows[rows.part == "klods_train/5"].anomalous.value_counts()
    assert (counts[False], counts[True]) == (6, 10)


@pytest.mark.parametrize("bad", ["missing", "pickled", "text", "integers", "nan"])
def test_a_file_without_latents_is_refused_by_name(tmp_path, bad):
    odd = tmp_path / "odd.npy"
    level = white(5, (6, 8, 8), 0).numpy()
    if bad == "pickled":
        np.save(odd, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif bad == "text":
        odd.write_text("no numbers")
    elif bad == "integers":
        np.save(odd, level.astype(int))
    elif bad == "nan":
        level[2] = np.nan
        np.save(odd, level)
    with pytest.raises(UserError, match=r"odd\.npy"):
        read(odd)


def test_a_folder_of_arrays_is_an_archive(tmp_path):
    levels = {f"z{i}": white(4, (i, 2, 2), i).numpy() for i in (1, 2, 10)}
    for name, level in [*levels.items(), ("log_prob", np.arange(4.0))]:
        np.save(tmp_path / f"{name}.npy", level)
    source = read(tmp_path)
    assert [level.shape[1] for level in source.levels] == [1, 2, 10]
    assert source.log_prob.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"split": "patchs_2", "regulariser": "non"},
            ["did you mean 'patches_2'?", "regulariser: must be"],
        ),
        ({"split": "patches_4", "level": "z2"}, ["n = 12 vectors of length m = 16"]),
        ({"split": "channels", "level": "z1", "group_size": [61]}, ["60 images of 'normal' fill no group of 61"]),
        ({"level": "z3"}, ["one of z1, z2 or sum"]),
    ],
)
def test_options_that_do_not_fit_the_latents_end_with_2(files, options, expected):
    with pytest.raises(UserError) as caught:
        score(files / "train.npz", files / "test.npz", [files / "odd.npz"], **options)
    assert caught.value.kind == Kind.USAGE
    assert all(text in str(caught.value) for text in expected)
