"""Images from splits to the workers and the score table: in memory and by way of stored shards."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.loading import load_splits
from orchestrator.data.shared import ShardedSplits, SharedSplits, SplitsInMemory
from orchestrator.data.split_store import SplitManifest, SplitStore, assemble, shard
from orchestrator.record.paths import RunPaths
from orchestrator.results.evaluation import combined
from tests.helpers.files import flip
from tune_spaces.schema import Auxiliary, Data
from workloads.data.datasets import load
from workloads.data.images import NO_CLASS, AuxiliaryImages, Dataset, LabelledImages
from workloads.data.in_out import in_out
from workloads.data.protocols import one_class
from workloads.data.splits import Splits, Targets
from workloads.errors import UserError
from workloads.files import DamagedFileError
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.method import MLSAD
from workloads.scoring.baselines import baseline_rows
from workloads.scoring.table import join, one_row_an_image, score_rows, with_other_windows
from workloads.units import GENERAL, ImageShape, TrainingCounts

NOWHERE = Path("nowhere")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", NOWHERE)


@pytest.fixture(scope="module")
def splits() -> Splits:
    """All digits as one target, noise as an out set, tiles of photographs beside them."""
    auxiliary = (Auxiliary(name="photo_tiles", max_images=50),)
    data = Data(name="digits", protocol="in_out", side=8, max_train_images=100, out=("noise",), auxiliary=auxiliary)
    return load_splits(data, NOWHERE, download=False)


def store_in(folder: Path) -> SplitStore:
    return SplitStore(RunPaths(str(folder), "run"))


def stored(splits: Splits, folder: Path) -> tuple[SplitManifest, list]:
    """What is stored, and its tables in pieces, the last first."""
    manifest = store_in(folder).keep(splits)
    tables = map(pq.read_table, sorted(Path(manifest.path).glob("*shards/*.parquet")))
    return manifest, [part for table in tables for part in (table.slice(7), table.slice(0, 7))][::-1]


# --- a view's rows are the splits' own


def images(rows: list[tuple[int, int, int]], height: int, width: int, name: str) -> LabelledImages:
    """Every image carries its label, its part and its number in its first pixels."""
    pixels = np.zeros((len(rows), 1, height, width), np.uint8)
    pixels.reshape(len(rows), -1)[:, :3] = np.array(rows, np.uint8).reshape(-1, 3)
    return LabelledImages(pixels, np.array([r[0] for r in rows], np.int64), tuple(f"{name}/{r[2]}" for r in rows))


def in_windows(part: LabelledImages) -> LabelledImages:
    """Every image as two windows, which lie at places of their own."""
    rows = np.repeat(np.arange(len(part)), 2)
    twice = LabelledImages(part.images[rows], part.labels[rows], tuple(part.ids[row] for row in rows))
    places = np.stack([rows, np.tile([0, 3], len(part)), rows + 2, rows + 6], 1).astype(np.int32)
    return replace(twice, windows=places)


@st.composite
def any_splits(draw: st.DrawFn) -> Splits:
    """Three classes in any order, of any number; targets of one class or two; tested on all or on some; not square; all
    images of one window, or those of some splits of two."""
    members = draw(st.sampled_from([{}, {"pair": ("a", "c")}]))
    names = ("pair",) if members else draw(st.sampled_from([("a",), ("b", "c"), ("a", "b", "c")]))
    learnt = [number for number, name in enumerate("abc") if name in {*names, *members.get("pair", ())}]
    parts = []
    for number, (name, classes) in enumerate((("train", learnt), ("val", learnt), ("test", [0, 1, 2]))):
        labels = [*classes, *draw(st.lists(st.sampled_from(classes), max_size=9))]
        parts.append(images(draw(st.permutations([(v, number, i) for i, v in enumerate(labels)])), 2, 3, name))
    for number in draw(st.sampled_from([(), (2,), (0, 1, 2)])):
        parts[number] = in_windows(parts[number])
    tested_on = draw(st.sampled_from([None, {names[0]: ("a", "b")}]))
    out = images([(7, 3, i) for i in range(draw(st.integers(1, 5)))], 2, 3, "noise")
    auxiliary = AuxiliaryImages(images([(8, 4, 0), (8, 4, 1)], 2, 3, "x"), images([(8, 5, 0)], 2, 3, "y"), 0)
    masks = np.arange(len(parts[2]) * 6).reshape(-1, 2, 3).astype(np.uint8) % 2
    targets = Targets(("a", "b", "c"), names, members, tested_on)
    apart = images([(value, 6, i) for i, value in enumerate(learnt)], 2, 3, "apart")
    calibration = draw(st.sampled_from([None, apart]))
    noise = {"noise": replace(out, labels=np.full(len(out), -1))}
    return Splits(*parts, targets, noise, auxiliary, masks=masks, calibration=calibration)


def sharded(splits: Splits, targets: tuple[str, ...]) -> ShardedSplits:
    windowed = splits.test.windows is not None
    tables = [shard(part, name, 0, windowed=windowed) for name, part in splits.by_name().items()]
    pieces = [part for table in tables for part in (table.slice(2), table.slice(0, 2))][::-1]
    return ShardedSplits(SplitManifest.of(splits, ""), lambda: pieces, targets, auxiliary=True, masks=splits.masks)


@settings(deadline=None, max_examples=40)
@given(any_splits(), st.booleans())
def test_a_views_rows_are_the_splits_own(splits: Splits, in_memory: bool) -> None:
    shared: SharedSplits = SplitsInMemory(splits) if in_memory else sharded(splits, splits.targets.names)
    assert (shared.shape, shared.counts) == (ImageShape(1, 2, 3), splits.counts)
    for target in splits.targets.names:
        members = splits.targets.members_of(target)
        numbers = [splits.targets.classes.index(name) for name in members]
        view = shared.view(target, CPU, auxiliary=True)
        for part, pixels in ((splits.train, view.train), (splits.val, view.val)):
            rows = np.isin(part.labels, numbers)
            assert np.array_equal(pixels.numpy(), part.images[rows])
            where = view.windows.get("train" if part is splits.train else "val")
            assert (where is None) == (part.windows is None)
            assert where is None or np.array_equal(where, part.take(rows).windows)
        assert view.classes == members
        assert view.labels is not None
        carried = view.train[:, 0, 0, 0].tolist()
        assert [numbers[place] for place in view.labels.tolist()] == carried, "labels are those of the pixels' rows"
        tested_on = (splits.targets.tested_on or {}).get(target, splits.targets.classes)
        tested = np.isin(splits.test.labels, [splits.targets.classes.index(name) for name in tested_on])
        assert np.array_equal(view.tested.numpy(), splits.test.images[tested])
        assert tuple(view.ids["test"]) == splits.test.take(tested).ids
        assert np.array_equal(view.windows.get("test"), splits.test.take(tested).windows)
        assert [splits.targets.classes[v] for v in view.tested[:, 0, 0, 0].tolist()] == list(view.class_names["test"])
        assert (~view.anomalous).tolist() == [name in members for name in view.class_names["test"]]
        assert view.masks is not None
        assert splits.masks is not None
        assert np.array_equal(view.masks.numpy(), splits.masks[tested])
        assert np.array_equal(view.out["noise"].numpy(), splits.out["noise"].images)
        assert (view.calibration is None) == (splits.calibration is None)
        if view.calibration is not None:
            assert view.calibration[:, 0, 0, 0].tolist() == sorted(numbers)
            assert list(view.class_names["calibration"]) == [splits.targets.classes[n] for n in sorted(numbers)]
        assert view.auxiliary is not None
        assert splits.auxiliary is not None
        assert np.array_equal(view.auxiliary[1].numpy(), splits.auxiliary.val.images)


@settings(deadline=None, max_examples=20)
@given(any_splits())
def test_what_is_read_back_is_what_was_kept(tmp_path_factory: pytest.TempPathFactory, splits: Splits) -> None:
    store = store_in(tmp_path_factory.mktemp("store"))
    manifest = store.keep(splits)
    assert store.manifest(splits.digest) == manifest
    back = store.read(splits.digest)
    assert back.digest == splits.digest
    assert back.target_digests == splits.target_digests


KINDS = ("shards/train-00000.parquet", "general_shards/general_train-00000.parquet", "masks.npy", "manifest.json")


@pytest.fixture(scope="module")
def masked(splits: Splits) -> Splits:
    return replace(splits, masks=np.zeros((len(splits.test), 8, 8), np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_is_named_and_made_again(kind: str, masked: Splits, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    file = Path(store.keep(masked).path) / kind
    before = file.read_bytes()
    flip(file)
    with pytest.raises(DamagedFileError, match="differs from its checksum") as damaged:
        store.read(masked.digest)
    assert damaged.value.where == str(file)
    store.keep(masked)
    assert file.read_bytes() == before
    assert store.read(masked.digest).digest == masked.digest


def test_a_shard_of_an_earlier_version_that_lost_half_its_rows_is_noticed(masked: Splits, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    file = Path(store.keep(masked).path) / "shards" / "test-00000.parquet"
    (file.parents[1] / "manifest.json.sha256").unlink()  # it wrote none
    table = pq.read_table(file)
    pq.write_table(table.slice(0, len(table) // 2), file)
    file.with_name(f"{file.name}.sha256").unlink()
    with pytest.raises(DamagedFileError, match=f"of {len(table)} images of split 'test' the shards hold"):
        store.read(masked.digest)
    store.keep(masked)
    assert pq.read_table(file).equals(table)


def test_a_manifest_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """As they lie in storages: `side` for both, members of every target, lists for tuples."""
    (tmp_path / "manifest.json").write_text(
        '{"path": "/gone", "digest": "d", "classes": ["a", "b"], "targets": ["a"], "channels": 3, "side": 16, '
        '"train_images": 9, "target_digests": {"a": "t"}, "counts": {"train": 9, "val": 1, "test": 4}, '
        '"tested_on": null, "members": {"a": ["a"]}, "general_images": 0, "general_duplicates": 0, "general_set": null}'
    )
    found = SplitManifest.read(tmp_path)
    assert found.path == str(tmp_path), "the storage may have moved since"
    assert (found.shape, found.counts) == (ImageShape(3, 16, 16), TrainingCounts(9))
    assert found.targets == Targets(("a", "b"), ("a",))


# --- what a worker holds


def test_a_worker_holds_what_its_targets_need_and_no_more(splits: Splits, tmp_path: Path) -> None:
    manifest, tables = stored(splits, tmp_path)
    assert splits.auxiliary is not None
    assert manifest.counts == TrainingCounts(90, 40)
    view = ShardedSplits(manifest, lambda: tables, ["digits"]).view("digits", CPU, test=False)
    assert view.auxiliary is None, "only who asks for the auxiliary images holds them"
    assert view.test is None
    assert view.class_names["val"] == [splits.targets.classes[label] for label in splits.val.labels]
    of_all = SplitsInMemory(splits)
    first, again = of_all.view("digits", CPU), of_all.view("digits", CPU, auxiliary=True)
    assert again.train is first.train, "a target's images are on the device once"
    assert first.tested.data_ptr() == torch.from_numpy(splits.test.images).data_ptr(), "tests are not copied"


def test_one_of_ten_classes_is_held_alone(digits: Dataset) -> None:
    splits = one_class(digits, side=8)
    held = sharded(replace(splits, auxiliary=None), ("3",))
    held._with_auxiliary = False
    view = held.view("3", CPU)
    whole = held.splits()
    assert len(whole.train) == len(whole.val) == 0, "the other classes' images are gone"
    assert len(view.train) == (splits.train.labels == 3).sum()


def test_the_auxiliary_target_needs_no_other(splits: Splits, tmp_path: Path) -> None:
    manifest, tables = stored(splits, tmp_path)
    assert splits.auxiliary is not None
    view = ShardedSplits(manifest, lambda: tables, [GENERAL]).view(GENERAL, CPU)
    assert torch.equal(view.train, torch.from_numpy(splits.auxiliary.train.images))
    assert torch.equal(view.val, torch.from_numpy(splits.auxiliary.val.images))
    assert view.ids["val"] == splits.auxiliary.val.ids
    assert view.labels is not None
    assert set(view.labels.tolist()) == {NO_CLASS}


def test_auxiliary_images_that_are_not_there_end_the_worker(splits: Splits, tmp_path: Path) -> None:
    manifest, tables = stored(splits, tmp_path)
    others = [table for table in tables if "general" not in table["split"][0].as_py()]
    with pytest.raises(UserError, match="of 40 images of split 'general_train' the shards hold 0"):
        assemble(others, manifest, [], auxiliary=True)
    bare = replace(splits, auxiliary=None)
    for shared in (SplitsInMemory(bare), ShardedSplits(store_in(tmp_path).keep(bare), lambda: tables, [GENERAL])):
        with pytest.raises(ValueError, match="the data has none"):
            shared.view(GENERAL, CPU)


# --- identities


def test_stages_are_made_of_what_they_learn_from(splits: Splits) -> None:
    """Pixels for every target, the classes where there are several, the auxiliary images for the general stage."""
    assert splits.auxiliary is not None
    labels = splits.train.labels.copy()
    labels[:2] = labels[:2][::-1] if labels[0] != labels[1] else (labels[:2] + 1) % 10
    pixels = splits.auxiliary.train.images.copy()
    pixels[0, 0, 0, 0] ^= 1
    changed = replace(splits.auxiliary, train=replace(splits.auxiliary.train, images=pixels))
    variants = {
        "plain": splits,
        "labels": replace(splits, train=replace(splits.train, labels=labels)),
        "general": replace(splits, auxiliary=changed),
        "none": replace(splits, auxiliary=None),
    }
    digests = {name: variant.target_digests for name, variant in variants.items()}
    assert set(digests["plain"]) == {"digits", GENERAL}
    assert set(digests["none"]) == {"digits"}
    assert len({variant["digits"] for variant in digests.values()}) == 2
    assert digests["labels"]["digits"] != digests["plain"]["digits"]
    assert digests["labels"][GENERAL] == digests["plain"][GENERAL] != digests["general"][GENERAL]
    assert len({variant.digest for variant in variants.values()}) == 4


def test_a_one_class_targets_stages_are_found_as_before(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(-1, 1, 2, 2)
    part = LabelledImages(pixels, np.array([0, 1, 0, 1, 0, 1]), tuple("abcdef"))
    manifest = store_in(tmp_path).keep(Splits(part, part, part, Targets(("x", "y"), ("y",))))
    assert manifest.target_digests == {"y": "2c3d3e6048ade0ac"}
    assert manifest.stored()["members"] == {"y": ["y"]}


# --- rows of the score table


def test_score_rows_call_no_test_image_of_the_dataset_anomalous(splits: Splits) -> None:
    view = SplitsInMemory(splits).view("digits", CPU)
    test, val, out = (
        score_rows(view, name, {"level_1": np.zeros(count)})
        for name, count in (("test", len(splits.test)), ("val", len(splits.val)), ("out/noise", 1000))
    )
    classes = splits.targets.classes
    assert not any(test["anomalous"].to_pylist())
    assert test["label"].to_pylist() == [classes[label] for label in splits.test.labels]
    assert val["label"].to_pylist() == [classes[label] for label in splits.val.labels]
    assert set(val["target"].to_pylist()) == {"digits"}
    assert all(out["anomalous"].to_pylist())


def test_one_class_rows_are_as_before(digits: Dataset) -> None:
    splits = one_class(digits, side=8, classes=["3"], max_train_images=20)
    view = SplitsInMemory(splits).view("3", CPU)
    table = score_rows(view, "test", {"level_1": np.zeros(len(splits.test))})
    assert table["anomalous"].to_pylist() == (splits.test.labels != 3).tolist()
    assert view.labels is not None
    assert view.labels.tolist() == [0] * 18
    assert baseline_rows("5-NN", view)["anomalous"].to_pylist() == (splits.test.labels != 3).tolist()


def windowed_digits(digits: Dataset) -> Dataset:
    """Every image as two windows, the second of them turned upside down."""

    def cut(part: LabelledImages) -> LabelledImages:
        twice = in_windows(part)
        twice.images[1::2] = twice.images[1::2, :, ::-1]
        return twice

    return replace(digits, train=cut(digits.train), test=cut(digits.test))


def test_all_windows_of_an_image_are_on_one_side(digits: Dataset) -> None:
    """And who is on which side is what it would be without windows."""
    for protocol in (partial(one_class, classes=["3", "7"]), in_out):
        options = {"side": 8, "max_train_images": 30, "calibration_fraction": 0.2}
        whole, cut = (protocol(images, **options) for images in (digits, windowed_digits(digits)))
        for name, part in whole.by_name().items():
            rows = cut.by_name()[name]
            assert [rows.ids[row] for row in rows.first_windows] == list(part.ids)
            assert rows.ids[::2] == rows.ids[1::2] == part.ids
            assert np.array_equal(rows.images[1::2], rows.images[::2, :, ::-1])
        assert cut.counts.images == 2 * whole.counts.images
        assert any("windows of 8 x 8 pixels" in remark for remark in cut.remarks)


def test_where_windows_lie_is_part_of_what_splits_are(digits: Dataset, tmp_path: Path) -> None:
    splits = one_class(windowed_digits(digits), side=8, classes=["3"], max_train_images=20)
    assert splits.train.windows is not None
    moved = replace(splits.train, windows=splits.train.windows + np.int32([0, 0, 1, 1]))
    other = replace(splits, train=moved)
    assert other.digest != splits.digest
    assert other.target_digests != splits.target_digests
    store = SplitStore(RunPaths(str(tmp_path), "run"))
    store.keep(splits)
    read = store.read(splits.digest)
    assert read.digest == splits.digest


def test_windows_that_are_no_neighbours_are_refused(digits: Dataset) -> None:
    splits = one_class(windowed_digits(digits), side=8, classes=["3"], max_train_images=20)
    with pytest.raises(ValueError, match="neighbours"):
        splits.train.take(np.array([0, 2, 1]))


def test_an_image_scores_as_its_highest_window_once_parts_are_combined(digits: Dataset) -> None:
    """Rows that share an id are windows of one image."""
    splits = one_class(digits, side=8, classes=["3"], max_train_images=20)
    labels = splits.test.labels[[0, 0, 1, 1, 1]]
    windows = LabelledImages(splits.test.images[:5], labels, tuple("aabbb"), np.zeros((5, 4), np.int32))
    view = SplitsInMemory(replace(splits, test=windows)).view("3", CPU)
    parts = {"one": np.float32([1, 3, 2, 0, -1]), "two": np.float32([5, 1, 0, 0, 6])}
    table = score_rows(view, "test", parts)
    whole = combined(table, MLSAD(MLSADConfig()))
    table = one_row_an_image(join([table, whole]))
    scores = {part: table.filter(pc.equal(table["part"], part)) for part in ("one", "two", "all")}
    assert {part: rows["score"].to_pylist() for part, rows in scores.items()} == {
        "one": [3, 2],
        "two": [5, 6],
        "all": [3, 2.5],  # not (3 + 5) / 2 and (2 + 6) / 2
    }
    for rows in scores.values():
        assert rows["image_id"].to_pylist() == ["a", "b"]
        assert rows["anomalous"].to_pylist() == (labels[[0, 2]] != splits.targets.classes.index("3")).tolist()
    assert one_row_an_image(table).equals(table)


def test_made_windows_stand_in_images_of_as_many_windows() -> None:
    numbers, held_out = np.array([0, 0, 1, 1, 1]), np.float32([1, 5, 2, 0, 1])
    assert with_other_windows(np.float32([9, 0, 3, 0, 1]), held_out, numbers).tolist() == [9, 5, 3, 2, 2]
    assert with_other_windows(np.float32([0]), held_out, numbers).tolist() == [5]
    assert with_other_windows(np.float32([0] * 7), held_out, numbers).tolist() == [5, 5, 2, 2, 2, 5, 5]


def test_a_shard_whose_checksum_was_removed_is_not_believed(masked: Splits, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    file = Path(store.keep(masked).path) / "shards" / "test-00000.parquet"
    file.with_name(f"{file.name}.sha256").unlink()
    with pytest.raises(DamagedFileError, match="lost its checksum"):
        store.read(masked.digest)
    store.keep(masked)
    assert len(store.read(masked.digest).test) == len(masked.test)
