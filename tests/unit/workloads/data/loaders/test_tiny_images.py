"""The flat file's format and the published subset, against independent arithmetic."""

import numpy as np
import pytest

from workloads.data.loaders import tiny_images as tiny
from workloads.errors import UserError


def test_an_image_is_read_in_fortran_order():
    whole = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)  # image, row, column, channel
    raw = b"".join(image.tobytes(order="F") for image in whole)
    np.testing.assert_array_equal(tiny.decode(raw), whole.transpose(0, 3, 1, 2))
    assert tiny.encode(tiny.decode(raw)) == raw


def test_the_papers_subset_has_the_published_sizes_and_order():
    chunks = tiny.chosen_chunks()
    starts = np.arange(0, 79_302_017 - 63, 64)  # published: whole chunks at multiples of 64
    assert len(starts) == 1_239_094
    np.random.RandomState(20191203).shuffle(starts)
    np.testing.assert_array_equal(tiny.images_of(chunks)[::64], starts[:24_415])
    assert len(tiny.images_of(chunks)) == 1_562_560
    assert tiny.train_count(1_562_560) == 1_250_048


def test_the_second_set_passes_over_whole_chunks_that_hold_a_duplicate():
    plain = tiny.chosen_chunks()
    bad = np.array([plain[0] * 64 + 63, plain[7] * 64])
    chunks = tiny.chosen_chunks(without=bad)
    assert len(chunks) == len(plain)
    assert not np.isin(tiny.images_of(chunks), bad).any()
    np.testing.assert_array_equal(chunks[:-2], np.delete(plain, [0, 7]))


def test_a_file_too_small_for_the_papers_subset_is_refused():
    with pytest.raises(UserError, match="15 chunks"):
        tiny.chosen_chunks(images=1000)


def test_index_lists_are_one_based_and_zero_is_unknown(tmp_path):
    (tmp_path / "a.txt").write_text("1\n3\n3\n0\n")
    (tmp_path / "b.txt").write_text("3\n10\n0\n\n")
    actual = tiny.read_duplicates([tmp_path / "a.txt", tmp_path / "b.txt"], images=10)
    assert actual.indices.tolist() == [0, 2, 9]
    assert (actual.lines, actual.unknown, actual.repeated) == (7, 2, 2)


@pytest.mark.parametrize("line", ["11", "-1", "1.0", "eleven"])
def test_a_line_that_is_no_index_is_named(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"1\n{line}\n")
    with pytest.raises(UserError, match="line 2"):
        tiny.read_duplicates([tmp_path / "a.txt"], images=10)


def test_ranges_join_what_is_consecutive_in_order():
    indices = np.array([4, 5, 6, 2, 3, 9])
    assert tiny.ranges(indices) == [(4, 3), (2, 2), (9, 1)]
    assert tiny.ranges(indices[:0]) == []
