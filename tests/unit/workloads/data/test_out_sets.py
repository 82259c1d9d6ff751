"""Out-of-distribution sets from files to the report: what they are, who may see them, and every number they give."""

import csv
import gzip
import io
import json
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import roc_auc_score
from upath import UPath

from orchestrator.data.loading import load_splits
from orchestrator.data.shared import ShardedSplits, SplitsInMemory
from orchestrator.data.split_store import SplitStore
from orchestrator.record.events import RungMetrics
from orchestrator.record.paths import RunPaths, TrialPaths
from orchestrator.results.evaluation import finish_rung, metrics_of, read_table, write_share
from orchestrator.results.report.tables import to_csv
from orchestrator.results.report.write import Report
from orchestrator.results.tables import LEAK, Measured, Row, Table, heading, out_table, set_means
from tests.helpers.commands import orchestrate
from tests.unit.orchestrator.results.report.test_write import shown
from tune_spaces import published
from tune_spaces.schema import Data
from workloads.data.datasets import load
from workloads.data.out_sets import NO_CLASS, NOISE_IMAGES, noise, out_sets
from workloads.data.protocols import one_class
from workloads.errors import UserError
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.method import MLSAD
from workloads.scoring import metrics
from workloads.scoring.evaluate import score
from workloads.scoring.table import join, rows
from workloads.units import ImageShape, PartNames, Unit

NOWHERE = Path("nowhere")
REDUCED = "measured (reduced preset)"
LEVELS = ("level_1", "level_2", "level_16")


@pytest.fixture
def mnist_dir(tmp_path):
    """A data folder with a made MNIST of 30 test images, 28x28, whose pixels are their own number."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", 20), ("t10k", 30)):
        images = np.repeat(np.arange(count, dtype=np.uint8), 28 * 28).tobytes()
        labels = bytes(i % 10 for i in range(count))
        files = {
            f"{split}-images-idx3-ubyte": struct.pack(">IIII", 0x803, count, 28, 28) + images,
            f"{split}-labels-idx1-ubyte": struct.pack(">II", 0x801, count) + labels,
        }
        for name, data in files.items():
            (raw / f"{name}.gz").write_bytes(gzip.compress(data))
    return tmp_path


# --- the images


def test_an_out_set_is_the_official_test_split_in_the_datasets_own_form(mnist_dir):
    found = out_sets(("mnist", "noise"), mnist_dir, shape=ImageShape(3, 16, 16), download=False)
    assert list(found) == ["mnist", "noise"]
    mnist = found["mnist"]
    assert mnist.images.shape == (30, 3, 16, 16)
    assert mnist.ids == load("mnist", mnist_dir, download=False).test.ids
    assert np.array_equal(mnist.images[7], np.full((3, 16, 16), 7)), "grey is repeated"
    assert set(mnist.labels) == {NO_CLASS}
    assert found["noise"].images.shape == (NOISE_IMAGES, 3, 16, 16)


def test_the_choice_of_out_images_is_seeded_and_keeps_their_order(mnist_dir):
    first, again, other = (
        out_sets(("mnist",), mnist_dir, shape=ImageShape(1, 8, 8), max_images=9, seed=seed, download=False)["mnist"].ids
        for seed in (0, 0, 1)
    )
    assert len(first) == 9
    assert first == again == tuple(sorted(first))
    assert first != other


def test_noise_is_uniform_and_seeded():
    drawn = noise(200, ImageShape(3, 16, 16), seed=0)
    assert drawn.images.dtype == np.uint8
    counts = np.bincount(drawn.images.ravel(), minlength=256)
    expected = drawn.images.size / 256
    assert abs(counts - expected).max() < 6 * expected**0.5
    assert np.array_equal(noise(20, ImageShape(3, 16, 16), seed=0).images, drawn.images[:20])
    assert not np.array_equal(noise(200, ImageShape(3, 16, 16), seed=1).images, drawn.images)
    assert len(out_sets(("noise",), NOWHERE, shape=ImageShape(1, 8, 8), max_images=5)["noise"]) == 5


def test_a_digest_changes_with_out_sets_and_only_with_them():
    plain = one_class(load("digits", NOWHERE), side=8, classes=["3"])
    images = noise(5, ImageShape(1, 8, 8), seed=0)
    digests = {
        plain.digest,
        replace(plain, out={"noise": images}).digest,
        replace(plain, out={"other": images}).digest,
        replace(plain, out={"noise": noise(5, ImageShape(1, 8, 8), seed=1)}).digest,
    }
    assert len(digests) == 4
    assert replace(plain, out={}).digest == plain.digest  # what that is: test_protocols, for ever


def test_a_missing_out_set_ends_a_launch_before_any_work(tmp_path):
    with pytest.raises(UserError, match="mnist"):
        load_splits(Data(name="digits", side=16, out=("mnist",)), tmp_path, download=False)
    (tmp_path / "mine.py").write_text(
        "from tune_spaces.schema import *\nSPACE = Space(data=Data(name='digits', side=16, out=('mnist',)))\n"
    )
    words = ("mine.py", "--data-dir", "nowhere", "--storage", "runs", "--executor", "local")
    done = orchestrate("launch", *words, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "mnist" in done.stderr
    assert "out sets" in done.stdout
    assert not (tmp_path / "runs").exists()


# --- shards and workers


@pytest.fixture
def split(mnist_dir):
    data = Data(
        name="digits", side=16, classes=("3", "8"), max_train_images=10, out=("mnist", "noise"), max_out_images=12
    )
    return load_splits(data, mnist_dir, download=False)


def test_shards_bring_every_out_image_back(split, tmp_path):
    manifest = SplitStore(RunPaths(str(tmp_path), "run")).keep(split)
    assert all(file.is_file() for file in (Path(manifest.path) / "shards").iterdir()), "an out set makes no folder"
    files = sorted((Path(manifest.path) / "shards").glob("*.parquet"))
    assert (manifest.sizes["out/mnist"], manifest.sizes["out/noise"]) == (12, 12)
    tables = [table for file in files for table in (pq.read_table(file).slice(0, 7), pq.read_table(file).slice(7))]
    view = ShardedSplits(manifest, lambda: tables[::-1], ["8"]).view("8", torch.device("cpu"))
    assert len(view.tested) == len(split.test)
    for name, images in split.out.items():
        assert torch.equal(view.out[name], torch.from_numpy(images.images))
        assert view.ids[f"out/{name}"] == images.ids


class Made:
    """A detector whose score is the mean pixel, and a method whose whole is the mean of the parts."""

    selections = ("contrastive", "oracle")
    part_names = PartNames(prefix="level_")

    def __init__(self, part):
        self.part = part

    def score(self, images):
        return {self.part: images.float().mean((1, 2, 3)).numpy()}

    def contrast(self):
        return {"own/P_0": {self.part: np.float32([3.0, 400.0])}}

    def judged_parts(self):
        return LEVELS[:2]

    def combine(self, parts):
        return np.stack(list(parts.values())).mean(axis=0)


@pytest.fixture
def trial(split, tmp_path):
    """A trial's folder whose last rung was scored by two workers, and the images."""
    images = SplitsInMemory(split)
    paths = TrialPaths(UPath(tmp_path / "trial"))
    for rank, target in enumerate(("3", "8")):
        units = [Unit("detector", target, part) for part in LEVELS[:2]]
        view = images.view(target, torch.device("cpu"))
        scores = join([score(Made(unit.part), Made(unit.part), view, last=True) for unit in units])
        write_share(paths.scores_share(1000, rank), scores, {str(units[0]): rank + 1.5})
    finish_rung(paths, 1000, 2, Made("all"), 1.0, 1.0)
    return paths, images


def test_workers_notes_of_what_training_took_are_joined(trial):
    paths, _ = trial
    found = json.loads(paths.rung(1000).read_text())
    assert found["seconds"] == {"detector/3/level_1": 1.5, "detector/8/level_1": 2.5}
    assert not list(paths.folder.glob("scores/*part*"))


def test_out_sets_are_scored_at_the_last_rung_only(trial):
    view = trial[1].view("3", torch.device("cpu"))
    made = Made("level_1")
    early, last = (set(score(made, made, view, last=at_end)["split"].to_pylist()) for at_end in (False, True))
    assert early == {"test", "val", "own/P_0"}
    assert last - early == {"out/mnist", "out/noise"}


def test_the_score_file_holds_the_out_sets_and_the_rung_their_auroc(trial):
    paths, _ = trial
    table = read_table(paths.scores(1000)).to_pandas()
    out = table[table["split"] == "out/mnist"]
    assert len(out) == 12 * 2 * 3, "images, targets, two levels and the whole"
    assert out["anomalous"].all()
    assert set(out["label"]) == {"mnist"}
    numbers = json.loads(paths.rung(1000).read_text())
    for target in ("3", "8"):
        of_part = table[(table["target"] == target) & (table["part"] == "all")]
        normal = of_part[(of_part["split"] == "test") & (of_part["label"] == target)]["score"]
        outside = of_part[of_part["split"] == "out/mnist"]["score"]
        labels = [0] * len(normal) + [1] * len(outside)
        expected = roc_auc_score(labels, [*normal, *outside])
        assert numbers["out"]["mnist"]["all"][target] == pytest.approx(expected, abs=1e-12)
        assert numbers[f"auroc_out/mnist/{target}"] == numbers["out"]["mnist"]["all"][target]
    shown = {key for key in numbers if key.startswith("auroc_out")}
    wholes = {f"auroc_out/{name}/{key}" for name in ("mnist", "noise") for key in ("3", "8", "mean")}
    assert shown == {"auroc_out/mean"} | wholes | {
        f"auroc_out_level/{k}/{name}" for k in (1, 2) for name in ("mnist", "noise")
    }
    assert numbers["auroc_out_level/1/mnist"] == pytest.approx(
        np.mean(list(numbers["out"]["mnist"]["level_1"].values()))
    )


def test_mlflow_takes_the_names(trial):
    from mlflow.utils.validation import _validate_metric_name

    for key in json.loads(trial[0].rung(1000).read_text()):
        _validate_metric_name(key)


def test_out_rows_change_no_other_number(trial):
    table = read_table(trial[0].scores(1000))
    without = table.filter(pa.array([not split.startswith("out/") for split in table["split"].to_pylist()]))
    ours, others = metrics_of(table, Made("all")), metrics_of(without, Made("all"))
    assert not [key for key in others if "out" in key]
    ours["intervals"] = {name: ours["intervals"][name] for name in others["intervals"]}
    assert {key: ours[key] for key in others} == others
    assert set(metrics.contrastive_by_unit(table)["3", "level_1"]) == {"own"}


# --- the metric


def scores_of(target, part, seed, sets=("mnist", "noise"), decimals=1):
    """Made rows with many ties: 40 normal and 60 other test images, 30 of each out set."""
    random = np.random.default_rng(seed)
    test = random.normal(size=100).round(decimals)
    anomalous = np.arange(100) >= 40
    labels = [target if not bad else "another" for bad in anomalous]
    blocks = [rows(target, "test", part, [f"t/{i}" for i in range(100)], labels, anomalous, test + anomalous)]
    for name in sets:
        values = random.normal(0.5, 1, 30).round(decimals)
        ids = [f"{name}/{i}" for i in range(30)]
        blocks.append(rows(target, f"out/{name}", part, ids, [name] * 30, np.ones(30, bool), values))
    return pa.concat_tables(blocks)


def made_scores(targets=("frog", "dog", "horse"), parts=(*LEVELS, "all"), **settings):
    blocks = [scores_of(t, p, 10 * i + j, **settings) for i, t in enumerate(targets) for j, p in enumerate(parts)]
    return pa.concat_tables(blocks).unify_dictionaries()


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_out_auroc_is_scikit_learns_ties_included(decimals):
    table = made_scores(decimals=decimals)
    found, frame = metrics.out_auroc(table), table.to_pandas()
    assert len(found) == 3 * 4 * 2
    for (target, part, name), value in found.items():
        unit = frame[(frame["target"] == target) & (frame["part"] == part)]
        chosen = unit[((unit["split"] == "test") & (unit["label"] == target)) | (unit["split"] == f"out/{name}")]
        assert Counter(chosen["anomalous"]) == {False: 40, True: 30}
        assert value == pytest.approx(roc_auc_score(chosen["anomalous"], chosen["score"]), abs=1e-12)


def test_out_auroc_is_none_where_undefined_and_refuses_normal_rows():
    table = scores_of("frog", "all", 0, sets=("noise",))
    unseen = table.filter(pa.array(table["anomalous"].to_numpy()))
    assert metrics.out_auroc(unseen) == {("frog", "all", "noise"): None}
    assert metrics.out_auroc(scores_of("frog", "all", 0, sets=())) == {}
    normal = rows("frog", "out/noise", "all", ["x"], ["noise"], np.zeros(1, bool), np.zeros(1))
    with pytest.raises(ValueError, match="must be anomalous"):
        metrics.out_auroc(normal)


# --- the report


def run_of(scores, dataset, targets, out, **settings):
    found = RungMetrics.parse(metrics_of(scores, MLSAD(MLSADConfig())))
    return Measured(found, dataset, targets, out, pooled=False, name="MLSAD", kind=REDUCED, **settings)


def table_for(dataset="cifar10", targets=("dog", "frog", "horse"), out=("mnist", "noise"), counts=None, **settings):
    scores = made_scores(targets, sets=out)
    run = run_of(scores, dataset, targets, out, **settings)
    made = out_table(run, counts or {}, published.tables_of(dataset))
    assert made is not None
    return scores, made, run


def test_the_table_has_the_papers_shape_and_its_rows_beside_ours():
    scores, table, run = table_for(counts={"out/mnist": 30, "out/noise": 30})
    assert table.classes[:4] == ("dog/rCIFAR10", "frog/rCIFAR10", "horse/rCIFAR10", "dog/MNIST")
    ours = [row for row in table.rows if row.kind == REDUCED]
    theirs = [row for row in table.rows if row.kind == "published"]
    assert [row.name for row in ours] == [*LEVELS, "all"]
    assert [row.name for row in theirs] == ["D_1", "D_2", "D_4", "D_8", "D_16", "all"]
    assert len(ours) + len(theirs) == len(table.rows)
    areas, classes = metrics.out_auroc(scores), metrics.per_part_auroc(scores)
    assert ours[-1].values["dog/Noise"] == areas["dog", "all", "noise"]
    assert ours[0].values["dog/rCIFAR10"] == classes["level_1"]["dog"]
    assert (theirs[2].values["frog/Noise"], theirs[-1].values["dog/rCIFAR10"]) == (0.674, 0.812)
    assert set(theirs[0].values) == set(table.classes)
    assert "30 of MNIST, 30 of Noise" in table.notes[0]
    dogs = [ours[-1].values[f"{name}/Noise"] for name in ("dog", "frog", "horse")]
    assert set_means(run)["Noise"][0] == pytest.approx(np.mean(dogs))
    head, *lines = csv.reader(io.StringIO(to_csv(table)))
    assert head == ["name", "kind", "leak", "note", *table.classes], "a mean over unlike sets is no number"
    assert {line[1] for line in lines} == {REDUCED, "published"}


def test_every_published_column_can_be_met():
    sets = ("cifar100", "svhn", "mnist", "noise")
    columns = {f"{target}/r{heading('cifar10')}" for target in ("frog", "dog", "horse")}
    columns |= {f"{target}/{heading(name)}" for target in ("frog", "dog", "horse") for name in sets}
    assert columns == set(published.load("cifar10_ood").columns)


def test_other_datasets_have_no_published_rows_and_no_out_sets_no_table():
    _, table, _ = table_for("digits", ("3", "8"), ("noise",))
    assert {row.kind for row in table.rows} == {REDUCED}
    assert table.classes == ("3/rDIGITS", "8/rDIGITS", "3/Noise", "8/Noise")
    plain = made_scores(sets=())
    assert out_table(run_of(plain, "cifar10", ("frog",), ()), {}, {}) is None


@pytest.mark.parametrize("select_by", ["contrastive", "oracle"])
def test_the_report_has_the_section_its_csv_and_its_json(tmp_path, select_by):
    _, out, _ = table_for(leak=select_by == "oracle")
    row = Row("MLSAD", REDUCED, {"dog": 0.8, "frog": 0.8, "horse": 0.8}, 0.8)
    selection = {"select_by": select_by, "trial": "t", "params": {}, "contrastive": 0.7, "auroc": 0.8}
    settings = {"title": "x", "facts": {}, "trials": [], "warnings": []}
    table = Table(("dog", "frog", "horse"), (row,))
    text = Report(**settings, shown=shown(table, out=out), selection=selection).write(tmp_path).read_text()
    section = text.partition("## Out of distribution")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert lines[0].startswith("|  | dog/rCIFAR10 | frog/rCIFAR10 |")
    assert "mean" not in lines[0]
    assert [line.split(" | ")[0].strip("| *") for line in lines[2:]].count("published") == 1
    assert f"*{REDUCED}*" in lines[2]
    ours = lines[3:7]
    assert all((LEAK in line) == (select_by == "oracle") for line in ours)
    assert not any(LEAK in line for line in lines[8:]), "published rows were not selected by us"
    back = json.loads((tmp_path / "report.json").read_text())["out_of_distribution"]
    assert tuple(back["classes"]) == out.classes
    assert (tmp_path / "out_of_distribution.csv").read_text().startswith("name,kind,leak,note,dog/rCIFAR10")
    Report(**settings, shown=shown(table), selection=selection).write(tmp_path / "plain")
    assert "Out of distribution" not in (tmp_path / "plain" / "report.md").read_text()
    assert "out_of_distribution" not in json.loads((tmp_path / "plain" / "report.json").read_text())
