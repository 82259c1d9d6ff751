"""Pixels read straight out of a Parquet file equal what Arrow reads; files of other layouts fall back to Arrow."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
import pytest
from upath import UPath

from orchestrator.data.auxiliary import reading
from orchestrator.data.auxiliary.manifest import ShardLayout
from orchestrator.data.auxiliary.reading import announce, plain_page, read_pixels
from orchestrator.data.auxiliary.shards import OPTIONS, as_table
from orchestrator.data.auxiliary.sources.base import Rows
from tests.helpers.files import pixels as random_pixels

LAYOUT = ShardLayout(channels=3, side=32, group_rows=500, shard_images=4000)
SEVERAL = OPTIONS | {"data_page_size": 1024, "write_batch_size": 16}


def written(path, options, group=500):
    images = random_pixels(1100, 3, 32, 32)
    numbers = range(len(images))
    table = as_table(Rows(images, [str(i) for i in numbers], list(numbers)), LAYOUT)
    pq.write_table(table, path, row_group_size=group, **options)
    return images.reshape(len(images), -1)


def read(file, group, first, count):
    """Rows [first, first + count) of a row group, uint8 (count, 3072)."""
    out = np.empty((count, 3072), np.uint8)
    with ThreadPoolExecutor() as pool:
        read_pixels(file, group, first, out, announce(pool, [(file, group, first, first + count)], 3072))
    return out


@pytest.mark.parametrize(
    ("options", "plain"),
    [(OPTIONS, True), (SEVERAL, False), (OPTIONS | {"compression": "zstd"}, False)],
    ids=["as shards are written", "several pages", "compressed"],
)
def test_any_rows_of_any_group_are_those_that_were_written(tmp_path, options, plain):
    file = str(tmp_path / "shard.parquet")
    images = written(file, options)
    for group, first, count in ((0, 0, 500), (1, 7, 90), (2, 99, 1)):
        assert (plain_page(file, group) is not None) == plain
        out = read(file, group, first, count)
        np.testing.assert_array_equal(out, images[500 * group + first :][:count])


def test_even_two_pages_are_told_from_one(tmp_path):
    file = str(tmp_path / "shard.parquet")
    images = written(file, OPTIONS | {"data_page_size": 64 * 3072, "write_batch_size": 64}, group=100)
    assert plain_page(file, 0) is None
    np.testing.assert_array_equal(read(file, 0, 0, 100), images[:100])


def test_a_file_that_was_cut_after_its_footer_was_read_is_an_error(tmp_path):
    file = tmp_path / "shard.parquet"
    written(str(file), OPTIONS)
    assert plain_page(str(file), 2)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(OSError, match="ends within row group 2"):
        read(str(file), 2, 0, 100)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="there is nothing to announce reads to on this system")
def test_what_is_announced_is_what_is_read(tmp_path, monkeypatch):
    file, requested = tmp_path / "shard.parquet", []
    images = written(str(file), OPTIONS)
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *where: requested.append(where))
    with ThreadPoolExecutor() as pool:
        assert not announce(pool, [(str(file), 1, 7, 97)], 3072)
    ((start, size, advice),) = requested
    assert advice == os.POSIX_FADV_WILLNEED
    assert file.read_bytes()[start : start + size] == images[507:597].tobytes()


def test_a_row_group_of_an_object_store_is_asked_for_once(tmp_path, monkeypatch):
    written(str(tmp_path / "shard.parquet"), OPTIONS)
    file, requested = "memory://bucket/shard.parquet", []
    UPath(file).parent.mkdir(parents=True, exist_ok=True)
    UPath(file).write_bytes((tmp_path / "shard.parquet").read_bytes())
    monkeypatch.setattr(reading, "row_group", lambda *place: requested.append(place))
    with ThreadPoolExecutor() as pool:
        fetched = announce(pool, [(file, 0, 0, 100), (file, 1, 0, 20), (file, 0, 100, 500)], 3072)
    assert sorted(requested) == sorted(fetched) == [(file, 0), (file, 1)]
