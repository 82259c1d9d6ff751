"""Every source of auxiliary images, on small files of exactly its format; no Ray."""

import gzip
import io
import os
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.data.auxiliary.manifest import ShardLayout
from orchestrator.data.auxiliary.reading import row_group
from orchestrator.data.auxiliary.shards import write_shard
from orchestrator.data.auxiliary.sources import flat, open_source
from orchestrator.data.auxiliary.sources.base import Bad
from tests.helpers.files import flat_file, write_image
from tests.helpers.files import pixels as random_pixels
from workloads.data.loaders import tiny_images
from workloads.data.reading.decode import decode
from workloads.errors import UserError

LAYOUT = ShardLayout(channels=3, side=32, group_rows=10, shard_images=128)


def everything(source, images=100, rows=7):
    """(images, ids, offsets, bad ids) of all parts, in order."""
    actual = [item for part in source.pieces(images) for item in source.read(part, rows)]
    rows_ = [item for item in actual if not isinstance(item, Bad)]
    pixels_ = np.concatenate([r.images for r in rows_])
    ids = [name for r in rows_ for name in r.ids]
    return pixels_, ids, [o for r in rows_ for o in r.offsets], [b.id for b in actual if isinstance(b, Bad)]


def png(array):
    data = io.BytesIO()
    Image.fromarray(array.transpose(1, 2, 0)).save(data, "PNG")
    return data.getvalue()


def test_the_whole_flat_file_comes_in_its_order_with_offsets(tmp_path):
    file, images = flat_file(tmp_path, 301)
    actual, ids, offsets, bad = everything(open_source("tiny_images", str(file), side=32, choose="all"))
    np.testing.assert_array_equal(actual, images)
    assert ids[300] == "tiny_images/00000300"
    assert offsets[300] == 300 * 3072
    assert not bad


def test_a_fraction_is_whole_chunks_in_the_published_order(tmp_path):
    file, images = flat_file(tmp_path, 64 * 8 + 5)
    actual, ids, _, _ = everything(open_source("tiny_images", str(file), side=32, choose="0.5"))
    indices = tiny_images.images_of(tiny_images.permuted_chunks(64 * 8 + 5)[:4])
    assert ids == [f"tiny_images/{i:08d}" for i in indices]
    np.testing.assert_array_equal(actual, images[indices])


def test_listed_duplicates_are_left_out_of_a_fraction(tmp_path):
    file, _ = flat_file(tmp_path, 200)
    (tmp_path / "list.txt").write_text("1\n0\n200\n")
    source = open_source("tiny_images", str(file), side=32, choose="all", duplicates=[tmp_path / "list.txt"])
    _, ids, _, _ = everything(source)
    assert ids == [f"tiny_images/{i:08d}" for i in range(1, 199)]
    counts = {"listed": 2, "lines": 3, "unknown": 1, "repeated": 0, "left_out": "2 image(s)"}
    assert source.facts()["duplicates"] == counts


def test_the_papers_subset_needs_the_whole_file(tmp_path):
    file, _ = flat_file(tmp_path, 64)
    with pytest.raises(UserError, match="79,302,017"):
        open_source("tiny_images", str(file), side=32).pieces(100)


@pytest.mark.parametrize("exclude", [False, True])
def test_parts_of_the_whole_file_are_the_papers_subset_and_split(monkeypatch, tmp_path, exclude):
    """Without the 243 GB themselves: which ranges would be read is arithmetic."""
    monkeypatch.setattr(flat, "check_whole", lambda file: tiny_images.IMAGES)
    first = tiny_images.chosen_chunks()[0]
    (tmp_path / "list.txt").write_text(f"{first * 64 + 6}\n0\n")  # 1-based: the sixth image of the first chunk
    lists = [tmp_path / "list.txt"] if exclude else []
    parts = open_source("tiny_images", "not opened", side=32, duplicates=lists).pieces(32_768)
    assert len({part.name for part in parts}) == len(parts)
    counts = {split: sum(p.images for p in parts if p.split == split) for split in ("train", "test")}
    assert counts == {"train": 1_250_048, "test": 312_512}
    images = [n for part in parts for start, count in part.what for n in range(start, start + count)]
    if exclude:
        monkeypatch.setattr(flat, "file_facts", lambda file: {"bytes": tiny_images.IMAGES * 3072})
        assert (
            open_source("tiny_images", "x", side=32, duplicates=lists).facts()["duplicates"]["left_out"] == "1 chunk(s)"
        )
    without = np.array([first * 64 + 5]) if exclude else None
    np.testing.assert_array_equal(images, tiny_images.images_of(tiny_images.chosen_chunks(without=without)))


def test_a_truncated_file_is_named_before_any_work(tmp_path):
    file, _ = flat_file(tmp_path, 64)
    with file.open("r+b") as opened:
        opened.truncate(64 * 3072 - 100)
    with pytest.raises(UserError, match="truncated"):
        open_source("tiny_images", str(file), side=32, choose="all").pieces(100)


def test_a_hole_is_named_before_work_starts(tmp_path):
    file, _ = flat_file(tmp_path, 64)
    with file.open("r+b") as opened:
        opened.truncate(3072 * 20_000)  # what was not written is a hole
    try:
        with file.open("rb") as opened:
            hole = os.lseek(opened.fileno(), 0, os.SEEK_HOLE)
    except OSError:
        hole = 3072 * 20_000
    if hole == 3072 * 20_000:
        pytest.skip("this file system does not tell holes")
    with pytest.raises(UserError, match="a hole at byte"):
        open_source("tiny_images", str(file), side=32, choose="all").pieces(100)


def test_a_file_that_shrinks_while_it_is_read_is_no_short_set(tmp_path):
    file, _ = flat_file(tmp_path, 64)
    source = open_source("tiny_images", str(file), side=32, choose="all")
    part = source.pieces(100)[0]
    file.write_bytes(file.read_bytes()[:-3072])
    with pytest.raises(UserError, match="became shorter"):
        list(source.read(part, 100))


def test_the_same_bytes_come_from_an_object_store(tmp_path):
    file, images = flat_file(tmp_path, 100)
    from upath import UPath

    UPath("memory://bucket/tiny.bin").write_bytes(file.read_bytes())
    actual, _, _, _ = everything(open_source("tiny_images", "memory://bucket/tiny.bin", side=32, choose="all"))
    np.testing.assert_array_equal(actual, images)
    for name in ("b/2.png", "a/1.PNG", ".hidden/3.png"):
        UPath(f"memory://bucket/photos/{name}").parent.mkdir(parents=True, exist_ok=True)
        UPath(f"memory://bucket/photos/{name}").write_bytes(png(images[len(name)]))
    source = open_source("folder", "memory://bucket/photos", side=32)
    actual, ids, _, _ = everything(source)
    assert ids == ["a/1.PNG", "b/2.png"]
    before = source.facts()
    assert before["files"] == 2
    UPath("memory://bucket/photos/b/2.png").write_bytes(png(images[9]) + b"more")
    assert source.facts() != before


def test_a_folder_comes_decoded_and_its_bad_files_are_named(tmp_path):
    for name in ("a/1.png", "a/b/2.jpg", "3.bmp"):
        write_image(tmp_path / "in" / name, size=(40, 50))
    (tmp_path / "in/a/broken.png").write_bytes(b"\x89PNG no")
    write_image(tmp_path / "secret.png")
    (tmp_path / "in/link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "in/notes.txt").write_text("no image")
    actual, ids, _, bad = everything(open_source("folder", str(tmp_path / "in"), side=32))
    assert ids == ["3.bmp", "a/1.png", "a/b/2.jpg"]
    assert sorted(bad) == ["a/broken.png", "link.png"]
    np.testing.assert_array_equal(actual[1], decode(tmp_path / "in/a/1.png", 32))


def test_webdataset_shards_come_in_and_a_cut_one_keeps_what_is_whole(tmp_path):
    images = random_pixels(6, 3, 32, 32)
    for shard in range(2):
        samples = [{f"{i}.png": png(images[3 * shard + i]), f"{i}.cls": b"7"} for i in range(3)]
        write_tar(tmp_path / f"{shard:04d}.tar", {name: data for sample in samples for name, data in sample.items()})
    actual, ids, offsets, bad = everything(open_source("webdataset", str(tmp_path), side=32))
    np.testing.assert_array_equal(actual, images)
    assert ids[3] == "0001.tar/0.png"
    raw = (tmp_path / "0001.tar").read_bytes()
    assert raw[offsets[3] : offsets[3] + 4] == b"\x89PNG"
    (tmp_path / "0001.tar").write_bytes(raw[: offsets[5] + 100])
    actual, ids, _, bad = everything(open_source("webdataset", str(tmp_path), side=32))
    assert len(ids) == 5
    assert len(bad) == 1


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def tar_of(path, images):
    """Returns where each image's header begins."""
    write_tar(path, {f"{i}.png": png(image) for i, image in enumerate(images)})
    with tarfile.open(path) as tar:
        return [member.offset for member in tar]


def test_shadows_of_a_tar_that_was_made_on_a_mac_are_passed_over(tmp_path):
    image = random_pixels(3, 32, 32)
    members = {"./._0.png": b"shadow", "./0.png": png(image), "__MACOSX/0.png": b"shadow"}
    write_tar(tmp_path / "mac.tar", members)
    actual, ids, _, bad = everything(open_source("webdataset", str(tmp_path), side=32))
    np.testing.assert_array_equal(actual, image[None])
    assert ids == ["mac.tar/./0.png"]
    assert not bad


def test_members_of_a_tar_are_chosen_by_their_names(tmp_path):
    images = random_pixels(6, 3, 32, 32)
    names = [f"{number // 2}.{'img' if number % 2 else 'seg'}.png" for number in range(6)]
    write_tar(tmp_path / "0.tar", dict(zip(names, map(png, images), strict=True)))
    source = open_source("webdataset", str(tmp_path), side=32, choose="*.img.png")
    actual, ids, _, _ = everything(source)
    np.testing.assert_array_equal(actual, images[1::2])
    assert ids == [f"0.tar/{number}.img.png" for number in range(3)]
    assert source.facts()["choose"] == "*.img.png"
    assert "choose" not in open_source("webdataset", str(tmp_path), side=32).facts()
    pieces = [rows for part in source.pieces(100, least=3) for rows in source.read(part, 7)]
    assert [name for rows in pieces for name in rows.ids] == ids


def test_a_compressed_tar_is_named_before_any_work(tmp_path):
    tar_of(tmp_path / "0.tar", random_pixels(2, 3, 32, 32))
    for name in ("1.tar", "1.tar.gz"):
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "0.tar").read_bytes()))
        with pytest.raises(UserError, match=r"compressed \(gzip\)"):
            open_source("webdataset", str(tmp_path / name), side=32).pieces(100)


@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("damage", ["header", "cut", "zeros", "joined"])
def test_a_tar_that_its_reader_would_take_for_shorter_is_counted_once(tmp_path, damage, least):
    file = tmp_path / "0.tar"
    begin = tar_of(file, random_pixels(10, 3, 32, 32))[5]
    raw = bytearray(file.read_bytes())
    if damage == "header":
        raw[begin + 150] ^= 1  # of its checksum
    elif damage == "zeros":
        raw[begin : begin + 512] = bytes(512)
    else:
        raw = raw[:begin] if damage == "cut" else raw + raw
    file.write_bytes(raw)
    source = open_source("webdataset", str(file), side=32)
    made = [write_shard(str(tmp_path / "out"), LAYOUT, None, p, source.read(p, 7)) for p in source.pieces(100, least)]
    assert sum(shard.rows for shard in made) == (10 if damage == "joined" else 5)
    assert [shard.broken for shard in made] == [shard.bad for shard in made] == [0] * (least - 1) + [1]


def test_a_single_tar_is_cut_into_parts_of_its_images_in_their_order(tmp_path):
    images = random_pixels(10, 3, 32, 32)
    tar_of(tmp_path / "0.tar", images)
    source = open_source("webdataset", str(tmp_path / "0.tar"), side=32)
    actual, ids, offsets, bad = everything(source)
    shared = [rows for part in source.pieces(100, least=4) for rows in source.read(part, 7)]
    assert [len(rows.ids) for rows in shared] == [3, 3, 2, 2]
    assert [name for rows in shared for name in rows.ids] == ids
    assert [offset for rows in shared for offset in rows.offsets] == offsets
    np.testing.assert_array_equal(np.concatenate([rows.images for rows in shared]), actual)
    assert not bad


@pytest.mark.parametrize("kind", ["webdataset", "parquet", "npz"])
def test_ids_differ_where_only_the_folders_of_two_files_do_and_a_set_may_move(tmp_path, kind):
    images = random_pixels(4, 3, 32, 32)
    for split in ("train", "test"):
        folder = tmp_path / "in" / split
        folder.mkdir(parents=True)
        if kind == "webdataset":
            tar_of(folder / "0.tar", images)
        elif kind == "parquet":
            pq.write_table(pa.table({"image": [png(image) for image in images]}), folder / "0.parquet")
        else:
            np.savez(folder / "0.npz", data=images.reshape(4, -1))
    source = open_source(kind, str(tmp_path / "in"), side=32)
    _, ids, _, _ = everything(source)
    assert len(set(ids)) == 8
    parts = source.pieces(100)
    (tmp_path / "in").rename(tmp_path / "there")
    moved = open_source(kind, str(tmp_path / "there"), side=32)
    assert moved.pieces(100) == parts
    assert everything(moved)[1] == ids


def test_a_name_that_is_no_utf8_is_escaped(tmp_path):
    write_image(tmp_path / "in/1.png")
    os.rename(tmp_path / "in/1.png", os.fsencode(tmp_path / "in") + b"/caf\xe9.png")
    source = open_source("folder", str(tmp_path / "in"), side=32)
    (part,) = source.pieces(10)
    shard = write_shard(str(tmp_path / "out"), LAYOUT, None, part, source.read(part, 7))
    assert row_group(str(tmp_path / "out/shards" / f"{shard.name}.parquet"), 0, ("id",))["id"].to_pylist() == [
        "caf\\xe9.png"
    ]


def test_a_damaged_page_costs_its_row_group_only(tmp_path):
    images = random_pixels(12, 3, 32, 32)
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": [png(image) for image in images]}), file, row_group_size=4, compression="none")
    column = pq.ParquetFile(file).metadata.row_group(1).column(0)
    raw = bytearray(file.read_bytes())
    first = column.dictionary_page_offset or column.data_page_offset
    raw[first : first + 16] = b"\xff" * 16
    file.write_bytes(raw)
    actual, _, _, bad = everything(open_source("parquet", str(file), side=32))
    np.testing.assert_array_equal(actual, images[[0, 1, 2, 3, 8, 9, 10, 11]])
    assert bad == [f"train.parquet/{n:09d}" for n in range(4, 8)]


def test_a_network_that_fails_is_no_damage(tmp_path, monkeypatch):
    pq.write_table(pa.table({"image": [png(image) for image in random_pixels(4, 3, 32, 32)]}), tmp_path / "a.parquet")
    source = open_source("parquet", str(tmp_path / "a.parquet"), side=32)
    (part,) = source.pieces(10)

    def silent(*_, **__):
        raise TimeoutError
        yield

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", silent)
    with pytest.raises(TimeoutError):
        list(source.read(part, 7))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("folder", {"choose": "0.1"}), ("npz", {"duplicates": ["list.txt"]}), ("tiny_images", {"column": "image"})],
)
def test_what_is_for_another_kind_is_refused(kind, options):
    with pytest.raises(UserError, match=f"not for {kind}"):
        open_source(kind, "x", side=32, **options)


@pytest.mark.parametrize("struct", [True, False])
def test_parquet_with_encoded_images_comes_in(tmp_path, struct):
    images = random_pixels(25, 3, 32, 32)
    encoded = [png(image) for image in images]
    column = [{"bytes": raw, "path": None} for raw in encoded] if struct else encoded
    pq.write_table(pa.table({"image": column, "label": [0] * 25}), tmp_path / "train.parquet", row_group_size=4)
    source = open_source("parquet", str(tmp_path), side=32)
    assert len(source.pieces(10)) == 3
    actual, ids, offsets, _ = everything(source, images=10)
    np.testing.assert_array_equal(actual, images)
    assert ids[24] == "train.parquet/000000024"
    assert offsets == list(range(25))
    with pytest.raises(UserError, match="no column 'imag'"):
        open_source("parquet", str(tmp_path), side=32, column="imag").pieces(10)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_batches_come_in_and_pickles_do_not(tmp_path, save):
    images = random_pixels(25, 3, 32, 32)
    save(tmp_path / "train_data_batch_1.npz", data=images.reshape(25, -1), labels=np.arange(25))
    actual, ids, _, _ = everything(open_source("npz", str(tmp_path), side=32), images=10)
    np.testing.assert_array_equal(actual, images)
    assert ids[10] == "train_data_batch_1.npz/000000010"
    with pytest.raises(UserError, match="expected uint8"):
        open_source("npz", str(tmp_path), side=64).pieces(10)
    np.savez(tmp_path / "train_data_batch_1.npz", data=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError):
        open_source("npz", str(tmp_path), side=32).pieces(10)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UserError, match="webdataset"):
        open_source("web-dataset", "x", side=32)
