"""Prepared sets made without Ray: shards, records, quarantine, duplicates left out, verify, the contact sheet."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.data.auxiliary import shards
from orchestrator.data.auxiliary.contact_sheet import some_images, write_sheet
from orchestrator.data.auxiliary.deduplication import deduplication_with
from orchestrator.data.auxiliary.manifest import Manifest, ShardLayout, finished, record_file
from orchestrator.data.auxiliary.reading import pixels, row_group
from orchestrator.data.auxiliary.shards import write_shard
from orchestrator.data.auxiliary.sources import open_source
from orchestrator.data.auxiliary.verification import verify
from orchestrator.data.loading import load_splits
from tests.helpers.files import flat_file, flip, write_classes, write_image
from tests.helpers.files import pixels as random_pixels
from tune_spaces.schema import Data
from workloads.data.duplicates import Known
from workloads.data.reading.decode import decode
from workloads.errors import UserError

LAYOUT = ShardLayout(channels=3, side=32, group_rows=10, shard_images=128)


@pytest.fixture
def made(tmp_path):
    """A set of three shards out of a flat file, made without Ray."""
    file, images = flat_file(tmp_path, 300)
    source = open_source("tiny_images", str(file), side=32, choose="all")
    out = str(tmp_path / "out")
    shards = [write_shard(out, LAYOUT, None, part, source.read(part, 7)) for part in source.pieces(128)]
    manifest = Manifest(out, {"layout": vars(LAYOUT)}, tuple(shards))
    manifest.write()
    return manifest, images, source


def test_a_shard_holds_its_part_in_row_groups_of_the_layout(made):
    manifest, images, _ = made
    assert Manifest.read(manifest.path) == manifest
    assert manifest.shards[0].groups == (10,) * 12 + (8,)
    batch = row_group(str(manifest.file(manifest.shards[1])), 2, ("id", "offset", "image"))
    np.testing.assert_array_equal(pixels(batch.column("image")).reshape(-1, 3, 32, 32), images[148:158])
    assert batch.column("id")[0].as_py() == "tiny_images/00000148"
    assert batch.column("offset")[0].as_py() == 148 * 3072


def test_statistics_are_those_of_the_pixels(made):
    manifest, images, _ = made
    mean, deviation = manifest.moments()
    np.testing.assert_allclose(mean, images.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(deviation, images.std(axis=(0, 2, 3)))


def test_shards_do_not_depend_on_how_the_source_cuts_its_rows(made, tmp_path):
    manifest, _, source = made
    again = [
        write_shard(str(tmp_path / "again"), LAYOUT, None, part, source.read(part, 64)) for part in source.pieces(128)
    ]
    assert [s.sha256 for s in again] == [s.sha256 for s in manifest.shards]


def test_verify_finds_a_flipped_byte_a_short_a_missing_and_a_stray_file(made):
    manifest, _, _ = made
    assert verify(manifest, lambda *_: None) == []
    first, second, third = (manifest.file(shard) for shard in manifest.shards)
    raw = bytearray(first.read_bytes())
    raw[12345] ^= 1
    first.write_bytes(raw)
    second.write_bytes(second.read_bytes()[:-1])
    third.unlink()
    (first.parent / "other.parquet").write_bytes(b"")
    actual = {p.shard: p.what for p in verify(manifest, lambda *_: None)}
    assert list(actual) == [first.name, second.name, third.name, "other.parquet"]
    assert "other bytes" in actual[first.name]
    assert "missing" in actual[third.name]
    shutil.rmtree(first.parent)
    assert [p.what for p in verify(manifest, lambda *_: None)] == ["missing"] * 3


def test_a_set_in_an_object_store_is_written_verified_and_read(made):
    """fsspec's store in memory stands for the others: whole objects, no renaming, no file descriptors."""
    _, images, source = made
    out = "memory://bucket/set"
    parts = source.pieces(128)
    shards = [write_shard(out, LAYOUT, None, part, source.read(part, 7)) for part in parts]
    Manifest(out, {"layout": vars(LAYOUT)}, tuple(shards)).write()
    manifest = Manifest.read(out)
    assert finished(out, parts) == {shard.name: shard for shard in shards}
    assert verify(manifest, lambda *_: None) == []
    actual = pixels(row_group(str(manifest.file(shards[1])), 2).column("image")).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(actual, images[148:158])
    manifest.file(shards[2]).write_bytes(b"other")
    assert [p.shard for p in verify(manifest, lambda *_: None)] == ["train-000002.parquet"]
    assert set(finished(out, parts)) == {"train-000000", "train-000001"}


def test_copies_of_an_in_set_are_left_out_and_counted(tmp_path):
    file, images = flat_file(tmp_path, 100)
    source = open_source("tiny_images", str(file), side=32, choose="all")
    (part,) = source.pieces(128)
    changed = images[50:60].copy()
    changed[:, 0, 0, 0] ^= 3
    known = Known.of(np.concatenate([images[20:25], changed]), threshold=2)
    shard = write_shard(str(tmp_path / "out"), LAYOUT, known, part, source.read(part, 7))
    assert (shard.rows, shard.exact_duplicates, shard.near_duplicates) == (85, 5, 10)


def test_in_sets_of_any_size_are_kept_out_at_the_size_of_the_set(tmp_path):
    write_classes(tmp_path / "own")
    against = deduplication_with(["digits", f"folder={tmp_path / 'own'}"], tmp_path, 32, None)
    assert list(against.digests) == ["digits", f"folder={tmp_path / 'own'}"]
    as_seen = load_splits(Data(name="digits", side=32), tmp_path).test.images
    assert against.known.find(np.repeat(as_seen, 3, axis=1))[0].all()
    own_images = np.stack([decode(file, 32) for file in sorted((tmp_path / "own").rglob("*.png"))])
    assert against.known.find(own_images)[0].all()
    assert not against.known.find(random_pixels(50, 3, 32, 32))[0].any()


def test_many_bad_images_do_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "QUARANTINE_BYTES", 150)
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"x" * 100)
    write_image(tmp_path / "good.png")
    source = open_source("folder", str(tmp_path), side=32)
    (part,) = source.pieces(128)
    write_shard(str(tmp_path / "out"), LAYOUT, None, part, source.read(part, 7))
    rows = pq.read_table(tmp_path / "out/quarantine/train-000000.parquet").to_pylist()
    assert [(row["id"], len(row["raw"])) for row in rows] == [("0.png", 100), ("1.png", 0), ("2.png", 0)]


def test_bad_images_are_in_quarantine_with_their_reason(tmp_path):
    write_image(tmp_path / "in/1.png")
    (tmp_path / "in/2.png").write_bytes(b"not an image")
    source = open_source("folder", str(tmp_path / "in"), side=32)
    (part,) = source.pieces(128)
    shard = write_shard(str(tmp_path / "out"), LAYOUT, None, part, source.read(part, 7))
    assert (shard.rows, shard.bad) == (1, 1)
    (row,) = pq.read_table(tmp_path / "out/quarantine/train-000000.parquet").to_pylist()
    assert row["id"] == "2.png"
    assert row["reason"]
    assert row["raw"] == b"not an image"


def test_a_contact_sheet_shows_images_of_the_set(made, tmp_path):
    manifest, images, _ = made
    shown = some_images(manifest, 9, seed=3)
    assert all((images == image).all(axis=(1, 2, 3)).any() for image in shown)
    assert not np.array_equal(shown, some_images(manifest, 9, seed=4))
    write_sheet(shown, tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size[0] > 3 * 64


def test_a_damaged_or_unfinished_manifest_is_named(made, tmp_path):
    manifest, _, _ = made
    with pytest.raises(UserError, match="no prepared image set"):
        Manifest.read(str(tmp_path / "nowhere"))
    file = tmp_path / "out/manifest.json"
    values = json.loads(file.read_text())
    del values["shards"][0]["sha256"]
    file.write_text(json.dumps(values))
    with pytest.raises(UserError, match="differs from its checksum"):
        Manifest.read(manifest.path)
    file.with_name("manifest.json.sha256").unlink()  # as of earlier versions
    with pytest.raises(UserError, match="damaged manifest"):
        Manifest.read(manifest.path)


def test_a_shard_whose_record_is_damaged_is_not_taken_for_finished(made):
    manifest, _, source = made
    pieces = source.pieces(128)
    assert finished(manifest.path, pieces).keys() == {piece.name for piece in pieces}
    flip(record_file(manifest.path, pieces[0].name))
    assert finished(manifest.path, pieces).keys() == {piece.name for piece in pieces[1:]}
