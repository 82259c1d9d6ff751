"""Blocks to batches without Ray: the batches of any workers are those of the order, from any step on."""

import numpy as np
import pytest

from orchestrator.data.auxiliary.manifest import Manifest, ShardLayout
from orchestrator.data.auxiliary.shards import write_shard
from orchestrator.data.auxiliary.sources import open_source
from orchestrator.data.auxiliary.windows import BLOCK_BYTES, StreamSpec, read_block, stream_batches
from tests.helpers.files import pixels
from tests.helpers.streams import row_at
from workloads.data.loaders import tiny_images
from workloads.errors import UserError

POOL = 12 * 9 * 3072  # windows of nine rows in twelve lanes


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """533 images in shards of 128, row groups of 10: groups of 10, 8 and 1 rows. (path, images)"""
    folder = tmp_path_factory.mktemp("general")
    images = pixels(533, 3, 32, 32)
    (folder / "tiny.bin").write_bytes(tiny_images.encode(images))
    source = open_source("tiny_images", str(folder / "tiny.bin"), side=32, choose="all")
    layout = ShardLayout(3, 32, 10, 128)
    shards = [write_shard(str(folder), layout, None, part, source.read(part, 10)) for part in source.pieces(128)]
    Manifest(str(folder), {"layout": vars(layout)}, tuple(shards)).write()
    return str(folder), images


def streamed(path, workers, start, end, batch=24, seed=0):
    """What each worker gets of the batches start..end-1: a list of its batches."""
    spec = StreamSpec(path, "train", batch, workers, seed, POOL)
    actual = []
    for rank in range(workers):
        numbers = spec.blocks(start * batch, end * batch)[rank::workers]
        tables = (table for number in numbers for table in read_block(spec, number))
        batches = [b for b in stream_batches(spec, tables, rank, start) if b.step < end]
        assert [b.step for b in batches] == list(range(start, end))
        actual.append(batches)
    return actual


def test_one_worker_gets_the_order_and_the_pixels_of_its_images(prepared):
    path, images = prepared
    spec = StreamSpec(path, "train", 24, 1, 0, POOL)
    (batches,) = streamed(path, 1, 0, 60)
    for b in batches:
        expected = [row_at(spec.order, b.step * 24 + i) for i in range(24)]
        assert sorted(b.rows) == sorted(expected)
        np.testing.assert_array_equal(b.images.reshape(-1, 3, 32, 32), images[b.rows])
        assert b.images.base is None  # no view that would keep a block in Ray's store
        assert b.rows.base is None


@pytest.mark.parametrize("workers", [2, 3, 5, 12, 24])
def test_workers_side_by_side_have_the_batch_of_one(prepared, workers):
    path, _ = prepared
    (alone,) = streamed(path, 1, 0, 50)
    several = streamed(path, workers, 0, 50)
    for step in range(50):
        side_by_side = np.concatenate([batches[step].rows for batches in several])
        np.testing.assert_array_equal(side_by_side, alone[step].rows)


@pytest.mark.parametrize("step", [1, 5, 22, 23, 31, 45])
@pytest.mark.parametrize("workers", [1, 5])
def test_a_stream_continues_exactly_with_any_number_of_workers(prepared, step, workers):
    path, _ = prepared
    (whole,) = streamed(path, 1, 0, 50)
    rest = streamed(path, workers, step, 50)
    for i in range(50 - step):
        np.testing.assert_array_equal(np.concatenate([batches[i].rows for batches in rest]), whole[step + i].rows)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_batches_of_several_images_a_lane_are_shared_and_continued_exactly(prepared, workers):
    path, images = prepared
    assert StreamSpec(path, "train", 128, 1, 0, POOL).rows_per_lane == 2
    (whole,) = streamed(path, 1, 0, 14, batch=128)  # three epochs
    rest = streamed(path, workers, 5, 14, batch=128)
    for step in range(5, 14):
        side_by_side = [batches[step - 5] for batches in rest]
        np.testing.assert_array_equal(np.concatenate([b.rows for b in side_by_side]), whole[step].rows)
        actual = np.concatenate([b.images for b in side_by_side]).reshape(-1, 3, 32, 32)
        np.testing.assert_array_equal(actual, images[whole[step].rows])


def test_every_image_comes_once_an_epoch_over_a_resume(prepared):
    path, images = prepared
    before, after = streamed(path, 2, 0, 13), streamed(path, 6, 13, 45)
    rows = [
        np.concatenate([batches[i].rows for batches in part]) for part in (before, after) for i in range(len(part[0]))
    ]
    seen = np.bincount(np.concatenate(rows), minlength=len(images))
    assert seen.min() == 45 * 24 // len(images)
    assert seen.max() <= seen.min() + 1


def test_blocks_of_a_round_are_equally_long_and_not_large(prepared):
    path, _ = prepared
    spec = StreamSpec(path, "train", 24, 5, 0, POOL)
    sizes = [len(table) for number in spec.blocks(0, 45 * 24) for table in read_block(spec, number)]
    rounds = np.array(sizes).reshape(-1, spec.blocks_per_round)
    assert (rounds == rounds[:, :1]).all()
    assert rounds.max() * 3072 <= BLOCK_BYTES


def test_workers_that_cannot_share_are_refused_with_the_nearest(prepared):
    path, _ = prepared
    with pytest.raises(UserError, match="did you mean: 2"):
        StreamSpec(path, "train", 128, 3, 0)
    with pytest.raises(UserError, match="did you mean: 24"):
        StreamSpec(path, "train", 24, 25, 0)
    with pytest.raises(UserError, match="no images of split 'test'"):
        StreamSpec(path, "test", 24, 1, 0)


def test_a_block_out_of_turn_is_an_error(prepared):
    path, _ = prepared
    spec = StreamSpec(path, "train", 24, 2, 0, POOL)
    out_of_turn = (table for number in (1, 0) for table in read_block(spec, number))
    with pytest.raises(RuntimeError, match="block 1 where block 0 was due"):
        list(stream_batches(spec, out_of_turn, 0, 0))
