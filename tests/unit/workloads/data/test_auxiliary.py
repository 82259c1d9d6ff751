"""Sets of auxiliary images: what each source gives, and what must hold of all."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.files import pixels, write_image
from workloads.data import auxiliary as general
from workloads.data.auxiliary import Source, auxiliary_images
from workloads.data.datasets import load
from workloads.data.images import NO_CLASS
from workloads.data.loaders import photo_tiles
from workloads.data.loaders.image_arrays import image_arrays
from workloads.data.loaders.tiny_images import CHUNK, chosen_chunks, encode
from workloads.errors import UserError
from workloads.units import ImageShape

NOWHERE = Path("nowhere")


def test_tiles_are_made_of_the_seed(tmp_path: Path) -> None:
    first, again, other = (
        auxiliary_images([Source("photo_tiles", max_images=30, seed=seed)], NOWHERE, shape=ImageShape(3, 16, 16))
        for seed in (0, 0, 1)
    )
    assert first.train.images.shape == (24, 3, 16, 16)
    assert first.val.images.shape == (6, 3, 16, 16)
    assert np.array_equal(first.train.images, again.train.images)
    assert not np.array_equal(first.train.images, other.train.images)
    assert set(first.train.labels) == {NO_CLASS}
    assert not set(first.train.ids) & set(first.val.ids)


@pytest.mark.parametrize(("side", "held_out"), [(16, 0.2), (32, 0.2), (8, 0.5)])
def test_train_and_val_tiles_share_no_pixel(monkeypatch: pytest.MonkeyPatch, side: int, held_out: float) -> None:
    """In made photographs each pixel's red and green say in which column it lies."""
    columns = np.arange(640)
    made = np.zeros((3, 427, 640), np.uint8)
    made[0], made[1] = columns // 4, columns % 4
    monkeypatch.setattr(photo_tiles, "_photographs", lambda: [made, made])
    monkeypatch.setattr(photo_tiles, "SCALES", (1,))
    count = 400
    train, val = photo_tiles.photo_tiles(side, count, round(count * held_out), seed=0)
    seen = [{int(c) for c in np.unique(part[:, 0].astype(int) * 4 + part[:, 1])} for part in (train, val)]
    assert not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) > 600, "both regions are used to their edges"
    assert min(seen[0]) < min(seen[1])
    assert max(seen[1]) < max(seen[0])


def test_larger_scales_are_shrunk_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = np.full((3, 427, 640), 77, np.uint8)
    monkeypatch.setattr(photo_tiles, "_photographs", lambda: [flat])
    train, val = photo_tiles.photo_tiles(32, 50, 10, seed=0)
    assert (train == 77).all()
    assert (val == 77).all()
    with pytest.raises(UserError, match="no 256x256 tile fits in the val part"):
        photo_tiles.photo_tiles(256, 50, 10, seed=0)


def test_datasets_lend_their_training_images_in_the_asked_form() -> None:
    train = load("digits", NOWHERE).train
    found = auxiliary_images([Source("digits", max_images=100, val_fraction=0.3)], NOWHERE, shape=ImageShape(3, 16, 16))
    assert (len(found.train), len(found.val)) == (70, 30)
    assert found.train.images.shape[1:] == (3, 16, 16)
    assert {name.removeprefix("general_0/") for name in (*found.train.ids, *found.val.ids)} <= set(train.ids)


def test_rgb_becomes_grey_by_its_luminance(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    np.save(tmp_path / "two.npy", np.broadcast_to(colours[:, :, None, None], (2, 3, 8, 8)))
    found = auxiliary_images([Source("arrays", str(tmp_path), val_fraction=0.5)], NOWHERE, shape=ImageShape(1, 8, 8))
    assert sorted({*found.train.images.ravel(), *found.val.images.ravel()}) == [76, 150]


def test_sources_are_joined_with_distinct_ids(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        for number in range(5):
            write_image(tmp_path / folder / "deep" / f"{number}.png")
    sources = [Source("folder", str(tmp_path / folder)) for folder in ("a", "b")]
    found = auxiliary_images([*sources, Source("digits", max_images=10)], NOWHERE, shape=ImageShape(3, 8, 8))
    ids = (*found.train.ids, *found.val.ids)
    assert len(ids) == len(set(ids)) == 20
    assert len(found.val) == 1 + 1 + 2
    assert {name.split("/")[0] for name in ids} == {"general_0", "general_1", "general_2"}


def test_the_datasets_own_images_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    source = Source("digits", max_images=40)
    whole = auxiliary_images([source], NOWHERE, shape=ImageShape(1, 8, 8))
    known = [whole.train.images[3:6], whole.val.images[:1]]
    with caplog.at_level(logging.WARNING):
        found = auxiliary_images([source], NOWHERE, shape=ImageShape(1, 8, 8), known=known)
    assert found.duplicates == 4
    assert "4 auxiliary images" in caplog.text
    assert found.train.ids == whole.train.ids[:3] + whole.train.ids[6:]
    assert found.val.ids == whole.val.ids[1:]
    assert whole.duplicates == 0
    with pytest.raises(UserError, match="every auxiliary image"):
        auxiliary_images([source], NOWHERE, shape=ImageShape(1, 8, 8), known=[whole.train.images])


def test_only_the_chosen_files_of_a_folder_are_opened(tmp_path: Path) -> None:
    for number in range(20):
        write_image(tmp_path / f"{number:02d}.png")
    few = auxiliary_images([Source("folder", str(tmp_path), max_images=6)], NOWHERE, shape=ImageShape(3, 8, 8))
    again = auxiliary_images([Source("folder", str(tmp_path), max_images=6)], NOWHERE, shape=ImageShape(3, 8, 8))
    assert len(few.train) + len(few.val) == 6
    assert few.train.ids == again.train.ids
    with pytest.raises(UserError, match="is not here"):
        auxiliary_images([Source("folder", str(tmp_path / "gone"))], NOWHERE, shape=ImageShape(3, 8, 8))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has 0 image"):
        auxiliary_images([Source("folder", str(tmp_path / "empty"))], NOWHERE, shape=ImageShape(3, 8, 8))


# --- arrays


def test_imagenet_batches_are_planes_in_the_order_of_their_files(tmp_path: Path) -> None:
    images = [pixels(4, 3, 32, 32), pixels(3, 3, 32, 32)]
    for number, batch in enumerate(images, 1):
        labels, mean = np.arange(len(batch)), np.zeros(3072)
        np.savez(tmp_path / f"train_data_batch_{number}.npz", data=batch.reshape(-1, 3072), labels=labels, mean=mean)
    (tmp_path / "README.txt").write_text("not an array")
    assert np.array_equal(image_arrays(tmp_path), np.concatenate(images))
    assert np.array_equal(image_arrays(tmp_path / "train_data_batch_2.npz"), images[1])


def test_npy_files_may_have_their_channels_last(tmp_path: Path) -> None:
    images = pixels(5, 3, 32, 32)
    for name, values in {"a": images, "b": images.transpose(0, 2, 3, 1), "c": images.reshape(5, -1)}.items():
        np.save(tmp_path / f"{name}.npy", np.ascontiguousarray(values))
        assert np.array_equal(image_arrays(tmp_path / f"{name}.npy"), images)


class Exploding:
    def __reduce__(self) -> tuple:
        return exec, ("raise SystemExit('a pickle was opened')",)


def test_pickles_are_refused_unopened(tmp_path: Path) -> None:
    bomb = pickle.dumps({"data": Exploding()})
    for name in ("train_data_batch_1", "batch.pkl", "batch.pt"):
        (tmp_path / name).write_bytes(bomb)
        with pytest.raises(UserError, match=r"pickled batches are not opened[\s\S]*\.npz"):
            image_arrays(tmp_path / name)
    with pytest.raises(UserError, match=r"no \.npz or \.npy files in it, only batch\.pkl"):
        image_arrays(tmp_path)
    objects = np.empty(1, dtype=object)
    objects[0] = Exploding()
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", data=objects)
    (tmp_path / "bomb.npy").write_bytes(bomb)
    for name in ("objects.npy", "objects.npz", "bomb.npy"):
        with pytest.raises(UserError, match="no plain array"):
            image_arrays(tmp_path / name)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 3072), np.float32), "float32"),
        (np.zeros((0, 3072), np.uint8), "0 values"),
        (np.zeros((3, 3000), np.uint8), "no square images"),
        (np.zeros((3, 3, 32, 16), np.uint8), "no square images"),
        (np.zeros((), np.uint8), "no square images"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, values: np.ndarray, said: str) -> None:
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(UserError, match=said):
        image_arrays(tmp_path / "x.npy")


def test_damaged_and_unlike_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=pixels(2, 3072))
    np.savez(tmp_path / "b.npz", data=pixels(2, 3 * 64 * 64))
    with pytest.raises(UserError, match="2 shapes"):
        image_arrays(tmp_path)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a whole file"):
        image_arrays(tmp_path)
    np.savez(tmp_path / "b.npz", images=pixels(2, 3072))
    with pytest.raises(UserError, match="no array 'data'"):
        image_arrays(tmp_path)


# --- Tiny Images


def test_tiny_images_are_the_papers_choice_divided_by_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count, chunks = 10 * CHUNK + 5, 5
    images = pixels(count, 3, 32, 32)
    path = tmp_path / "tiny_images.bin"
    path.write_bytes(encode(images))
    monkeypatch.setattr(general, "PAPER_CHUNKS", chunks)
    order = [chunk * CHUNK + i for chunk in chosen_chunks(count, chunks) for i in range(CHUNK)]
    found = auxiliary_images([Source("tiny_images", str(path))], NOWHERE, shape=ImageShape(3, 32, 32))
    assert np.array_equal(np.concatenate([found.train.images, found.val.images]), images[order])
    assert (len(found.train), len(found.val)) == (4 * CHUNK, CHUNK), "80/20, by place"
    few = auxiliary_images([Source("tiny_images", str(path), max_images=70)], NOWHERE, shape=ImageShape(3, 32, 32))
    assert np.array_equal(few.train.images, images[order[:56]])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="whole number of 3072-byte images"):
        auxiliary_images([Source("tiny_images", str(path))], NOWHERE, shape=ImageShape(3, 32, 32))


def test_a_broken_file_of_a_folder_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(30):
        Image.fromarray(pixels(8, 8, 3)).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "99.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        found = auxiliary_images([Source("folder", str(tmp_path))], NOWHERE, shape=ImageShape(3, 8, 8))
    assert len(found.train) + len(found.val) == 30
    assert "99.png" in caplog.text
