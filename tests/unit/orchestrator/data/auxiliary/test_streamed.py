"""A prepared auxiliary set beside a dataset: refusals, the parts that only test, what a worker holds of it."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from orchestrator.data.auxiliary.manifest import Manifest, ShardLayout
from orchestrator.data.auxiliary.prepare import begin, with_held_out
from orchestrator.data.auxiliary.reading import pixels as column_pixels
from orchestrator.data.auxiliary.shards import write_shard
from orchestrator.data.auxiliary.sources import open_source
from orchestrator.data.auxiliary.sources.base import TEST
from orchestrator.data.auxiliary.streamed import StreamedSet, auxiliary_set, some_rows
from orchestrator.data.auxiliary.windows import StreamSpec, groups_at, read_block
from orchestrator.data.loading import load_splits, streamed_source
from orchestrator.data.split_store import SplitStore
from orchestrator.record.paths import RunPaths
from tests.helpers.files import pixels
from tune_spaces.schema import Auxiliary, Data
from workloads.data.loaders import tiny_images
from workloads.errors import UserError
from workloads.units import GENERAL

LAYOUT = ShardLayout(3, 32, 10, 64)


def made(folder, hold_out=0.3, without=None):
    """A set of 640 images in ten shards. (its path, the images)"""
    images = pixels(640, 3, 32, 32)
    (folder / "tiny.bin").write_bytes(tiny_images.encode(images))
    source = open_source("tiny_images", str(folder / "tiny.bin"), side=32, choose="all")
    parts = with_held_out(source.pieces(64), hold_out)
    shards = [write_shard(str(folder), LAYOUT, None, part, source.read(part, 10)) for part in parts]
    plan = {"layout": vars(LAYOUT), "without": without}
    Manifest(str(folder), plan, tuple(shards)).write()
    return str(folder), images


def requested(path, side=32, **options):
    return Data(name="digits", side=side, auxiliary=(Auxiliary(name="prepared", path=path, **options),))


def test_whole_shards_are_held_out_by_a_seed(tmp_path):
    manifest = Manifest.read(made(tmp_path)[0])
    assert [s.rows for s in manifest.of_split(TEST)] == [64] * 3
    assert len({s.name for s in manifest.shards}) == 10
    source = open_source("tiny_images", str(tmp_path / "tiny.bin"), side=32, choose="all")
    assert with_held_out(source.pieces(64), 0.3) == with_held_out(source.pieces(64), 0.3)
    assert [p.split for p in with_held_out(source.pieces(1000), 0.3)] == ["train"], "one part trains"


def test_a_set_of_few_images_has_shards_enough_to_hold_some_out(tmp_path):
    (tmp_path / "tiny.bin").write_bytes(tiny_images.encode(pixels(2000, 3, 32, 32)))
    source = open_source("tiny_images", str(tmp_path / "tiny.bin"), side=32, choose="all")
    task = begin(source, str(tmp_path / "set"), ShardLayout.of(32), None, hold_out=0.05)
    assert sum(part.images for part in task.pieces) == 2000
    assert [part.images for part in task.pieces if part.split == TEST] in ([64, 64], [64, 16])


def test_a_set_of_another_size_or_without_held_out_images_is_refused(tmp_path):
    path, _ = made(tmp_path, hold_out=0)
    data = requested(path)
    with pytest.raises(UserError, match="no images of split 'test'"):
        auxiliary_set(data.auxiliary[0], data, tmp_path)
    data = requested(path, side=16)
    with pytest.raises(UserError, match="--side 16"):
        auxiliary_set(data.auxiliary[0], data, tmp_path)
    data = requested(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no prepared image set"):
        auxiliary_set(data.auxiliary[0], data, tmp_path)
    with pytest.raises(UserError, match="streamed alone"):
        streamed_source(data.model_copy(update={"auxiliary": (*data.auxiliary, Auxiliary(name="photo_tiles"))}))


def test_a_set_that_may_hold_the_datasets_images_is_named_in_a_warning(tmp_path, caplog):
    for name, without in (("any", None), ("other", {"sets": {"svhn": "x"}, "near": 4})):
        (tmp_path / name).mkdir()
        data = requested(made(tmp_path / name, without=without)[0])
        with caplog.at_level(logging.WARNING):
            assert auxiliary_set(data.auxiliary[0], data, tmp_path).unchecked == ("digits",)
        assert "without --without digits:" in caplog.text
        caplog.clear()
    (tmp_path / "without").mkdir()
    data = requested(made(tmp_path / "without", without={"sets": {"digits": "x"}, "near": None})[0])
    caplog.clear()
    assert auxiliary_set(data.auxiliary[0], data, tmp_path).unchecked == ()
    assert not caplog.text
    of_folder = data.model_copy(update={"name": "folder", "path": str(tmp_path / "own")})
    auxiliary_set(data.auxiliary[0], of_folder, tmp_path)
    assert f"without --without folder={tmp_path / 'own'}:" in caplog.text
    auxiliary_set(data.auxiliary[0], data.model_copy(update={"out": ("svhn", "noise")}), tmp_path)
    assert "without --without svhn:" in caplog.text


def test_the_shards_of_a_run_know_where_its_general_set_lies(tmp_path):
    (tmp_path / "general").mkdir()
    path, _ = made(tmp_path / "general")
    data = requested(path)
    actual = auxiliary_set(data.auxiliary[0], data, tmp_path)
    splits = load_splits(data, tmp_path)
    assert splits.streamed == actual
    store = SplitStore(RunPaths(str(tmp_path / "runs"), "run"))
    with_set, alone = (store.keep(replace(splits, streamed=streamed)) for streamed in (actual, None))
    assert with_set.digest != alone.digest, "another auxiliary set, other trials"
    assert with_set.streamed == store.manifest(with_set.digest).streamed == actual
    assert with_set.counts.auxiliary == 448
    assert with_set.target_digests[GENERAL] == actual.digest
    few = auxiliary_set(requested(path, max_images=100).auxiliary[0], data, tmp_path)
    assert few.images == 80
    assert few.digest != actual.digest


def test_a_worker_holds_a_sample_in_the_datasets_channels(tmp_path):
    path, images = made(tmp_path)
    stream = StreamedSet(path, 448, 1, torch.device("cpu"))
    assert len(stream) == 448
    train, held_out, ids = stream.sample()
    assert train.shape[1:] == held_out.shape[1:] == (1, 32, 32)
    assert len(held_out) == len(ids) == 192
    coloured = StreamedSet(path, 448, 3, torch.device("cpu")).sample()[1].numpy()
    numbers = [int(name.split("/")[1]) for name in ids]
    np.testing.assert_array_equal(coloured, images[numbers])


def test_an_epoch_of_few_images_is_made_of_row_groups_from_all_over_the_set(tmp_path):
    path, _ = made(tmp_path)
    few = StreamSpec(path, "train", 8, 1, 0, max_images=100)
    assert 100 <= few.order.images < 110
    assert StreamSpec(path, "train", 8, 1, 0).order.images == 448
    drawn, all_of_it = groups_at(path, "train", 100), groups_at(path, "train")
    assert [group for group in all_of_it if group in drawn] == drawn, "in the set's order"
    assert len({file for file, _, _ in drawn}) > 3
    held, _ = some_rows(path, "train", 1000, max_images=100)
    blocks = [next(iter(read_block(few, block))) for block in range(few.order.rounds * few.blocks_per_round)]
    streamed = np.concatenate([column_pixels(b["image"].combine_chunks())[b["row"].to_numpy() >= 0] for b in blocks])
    assert sorted(map(bytes, streamed)) == sorted(bytes(image) for image in held.reshape(len(held), -1))
