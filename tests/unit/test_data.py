"""Datasets: real files where a package ships them, else small files made in exactly the published format."""

import gzip
import hashlib
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray
from PIL import Image

from workloads.data import sources
from workloads.data.catalogue import CATALOGUE, entry
from workloads.data.datasets import load, resize
from workloads.data.decode import UnreadableError, decode
from workloads.data.folder import read_folder
from workloads.data.idx import read_idx
from workloads.data.sources import read_cifar_bin
from workloads.errors import BadInputError, DataMissingError, closest

RNG = np.random.default_rng(0)


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_idx_folder(folder: Path, gz: bool = False) -> dict[str, NDArray[np.uint8]]:
    folder.mkdir(parents=True)
    made: dict[str, NDArray[np.uint8]] = {}
    for split, n in (("train", 20), ("t10k", 10)):
        made[f"{split}-images-idx3-ubyte"] = RNG.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        made[f"{split}-labels-idx1-ubyte"] = (np.arange(n) % 10).astype(np.uint8)
    for name, values in made.items():
        raw = idx_bytes(values)
        (folder / (f"{name}.gz" if gz else name)).write_bytes(gzip.compress(raw) if gz else raw)
    return made


def cifar_records(n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return RNG.integers(0, 256, (n, 3072)).astype(np.uint8), (np.arange(n) % 10).astype(np.uint8)


def write_cifar_bin(root: Path) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    made = {name: cifar_records(10) for name in (*sources.CIFAR_TRAIN, *sources.CIFAR_TEST)}
    for name, (pixels, labels) in made.items():
        (folder / name).write_bytes(b"".join(bytes([k]) + row.tobytes() for row, k in zip(pixels, labels, strict=True)))
    return made


def write_image(path: Path, size: tuple[int, int] = (12, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(path)


def write_classes(root: Path, count: int = 6, classes: tuple[str, ...] = ("cat", "dog")) -> None:
    for name in classes:
        for i in range(count):
            write_image(root / name / f"{i:03d}.png")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails at once, as it does without a network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr(sources, "SYSTEM_FOLDERS", {})


# --- catalogue and errors


def test_catalogue_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, workloads.data.catalogue; print({'torch', 'numpy', 'sklearn', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_class_names_are_safe() -> None:
    for item in CATALOGUE.values():
        for name in item.classes or ():
            assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_unknown_dataset_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="did you mean: fashion_mnist") as caught:
        load("Fashion-MNIST", tmp_path)
    assert caught.value.nearest == "fashion_mnist"
    assert closest("zzzz", CATALOGUE) == ""


def test_errors_survive_pickling() -> None:
    bad = BadInputError("a", where="b", nearest="c", fix="d")
    missing = DataMissingError("mnist", [Path("/x")], "fetch it", ["half of it"])
    for error in (bad, missing):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


# --- digits


def test_digits_are_whole_and_split_in_halves(tmp_path: Path) -> None:
    digits = load("digits", tmp_path)
    assert len(digits.train) + len(digits.test) == 1797
    assert len(digits.test) == entry("digits").test_images
    assert not set(digits.train.ids) & set(digits.test.ids)
    assert digits.train.images.shape[1:] == (1, 8, 8)
    assert digits.train.images.max() == 255
    for label in range(10):
        halves = [np.count_nonzero(part.labels == label) for part in (digits.train, digits.test)]
        assert halves[0] - halves[1] in (0, 1)
    again, other = load("digits", tmp_path), load("digits", tmp_path, seed=1)
    assert again.train.ids == digits.train.ids
    assert other.train.ids != digits.train.ids


# --- IDX


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist"])
def test_mnist_reads_made_idx_files(tmp_path: Path, gz: bool, folder: str) -> None:
    made = write_idx_folder(tmp_path / folder, gz)
    mnist = load("mnist", tmp_path, download=False)
    assert np.array_equal(mnist.train.images[:, 0], made["train-images-idx3-ubyte"])
    assert np.array_equal(mnist.test.labels, made["t10k-labels-idx1-ubyte"])
    assert mnist.train.ids[7] == "mnist/train/00007"
    assert len(set(mnist.train.ids + mnist.test.ids)) == 30


def test_idx_agrees_with_torchvision(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "FashionMNIST" / "raw")
    ours = load("fashion_mnist", tmp_path, download=False)
    theirs = torchvision.datasets.FashionMNIST(str(tmp_path), train=True)
    assert np.array_equal(ours.train.images[:, 0], theirs.data.numpy())
    assert np.array_equal(ours.train.labels, theirs.targets.numpy())


GOOD_IDX = idx_bytes(np.zeros((4, 5, 6), np.uint8))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (GOOD_IDX[:-1], "only 119"),
        (GOOD_IDX + b"x", "has more"),
        (GOOD_IDX[:9], "truncated IDX header"),
        (b"", "truncated IDX header"),
        (b"\x00\x00\x08\x01" + GOOD_IDX[4:], "wrong magic number 0x00000801"),
        (b"\x00\x00\x0d\x03" + GOOD_IDX[4:], "wrong magic number"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "make no sense"),
        (b"\x00\x00\x08\x03" + bytes(12), "make no sense"),
    ],
)
@pytest.mark.parametrize("gz", [False, True])
def test_broken_idx_is_refused(tmp_path: Path, raw: bytes, message: str, gz: bool) -> None:
    path = tmp_path / ("broken.gz" if gz else "broken")
    path.write_bytes(gzip.compress(raw) if gz else raw)
    with pytest.raises(BadInputError, match=message) as caught:
        read_idx(path, 3)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("raw", [gzip.compress(GOOD_IDX)[:-12], b"no gzip at all", gzip.compress(GOOD_IDX)[:12]])
def test_broken_gzip_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(raw)
    with pytest.raises(BadInputError):
        read_idx(path, 3)


def test_images_and_labels_must_match(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(9, np.uint8)))
    with pytest.raises(BadInputError, match="10 t10k images but 9 labels"):
        load("mnist", tmp_path, download=False)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("download", [False, True])
def test_missing_data_says_where_and_how(tmp_path: Path, name: str, download: bool) -> None:
    with pytest.raises(DataMissingError) as caught:
        load(name, tmp_path, download=download)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert entry(name).how_to_get in message
    assert "sweep_digits" in message
    assert ("the download failed: " in message) == download


@pytest.mark.usefixtures("no_network")
def test_half_a_dataset_is_reported(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataMissingError, match="lacks t10k-labels-idx1-ubyte"):
        load("mnist", tmp_path, download=False)


FASHION = sources.SYSTEM_FOLDERS["fashion_mnist"][0]


@pytest.mark.skipif(not FASHION.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_real_fashion_mnist(tmp_path: Path) -> None:
    fashion = load("fashion_mnist", tmp_path, download=False)
    assert fashion.train.images.shape == (60_000, 1, 28, 28)
    assert fashion.test.images.shape == (10_000, 1, 28, 28)
    assert np.array_equal(np.bincount(fashion.train.labels), np.full(10, 6000))
    assert fashion.classes[fashion.train.labels[0]] == "ankle-boot"


# --- CIFAR-10


def test_cifar_binary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = write_cifar_bin(tmp_path)
    cifar = load("cifar10", tmp_path, download=False)
    assert len(cifar.train) == 50
    assert len(cifar.test) == 10
    pixels, labels = made["data_batch_2.bin"]
    assert np.array_equal(cifar.train.images[10:20].reshape(10, -1), pixels)
    assert np.array_equal(cifar.train.labels[10:20], labels)
    # Record layout: the pixel (row 1, column 2) of the green plane.
    assert cifar.train.images[10, 1, 1, 2] == pixels[0, 1024 + 32 + 2]
    assert "the published file has 10000" in caplog.text


@pytest.mark.parametrize(
    ("raw", "message"),
    [(bytes(3072), "3073-byte"), (b"", "0 bytes"), (bytes(3074), "3074"), (b"\x0a" + bytes(3072), "label 10")],
)
def test_broken_cifar_binary_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(raw)
    with pytest.raises(BadInputError, match=message):
        read_cifar_bin(path)


def test_cifar_python_version_through_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    made: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    sums: dict[str, str] = {}
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        made[name] = cifar_records(10)
        raw = pickle.dumps({"data": made[name][0], "labels": made[name][1].tolist()})
        (folder / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw).hexdigest()
    meta = pickle.dumps({"label_names": list(entry("cifar10").classes or ())})
    (folder / "batches.meta").write_bytes(meta)
    theirs = torchvision.datasets.CIFAR10
    monkeypatch.setattr(theirs, "train_list", [[n, sums[n]] for n in ("data_batch_1", "data_batch_2")])
    monkeypatch.setattr(theirs, "test_list", [["test_batch", sums["test_batch"]]])
    meta_entry = {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(meta).hexdigest()}
    monkeypatch.setattr(theirs, "meta", meta_entry)

    cifar = load("cifar10", tmp_path, download=False)
    assert np.array_equal(cifar.train.images[10:].reshape(10, -1), made["data_batch_2"][0])
    assert np.array_equal(cifar.test.labels, made["test_batch"][1])
    assert cifar.train.ids[3] == "cifar10/train/00003"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path(tmp_path / "exploded").touch, ()

    (folder / "data_batch_2").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataMissingError, match="corrupted"):
        load("cifar10", tmp_path, download=False)
    assert not (tmp_path / "exploded").exists()


# --- folders


def test_folder_without_splits_is_halved(tmp_path: Path) -> None:
    write_classes(tmp_path, count=7)
    found = load("folder", tmp_path, path=tmp_path, side=8)
    assert found.classes == ("cat", "dog")
    assert found.train.images.shape == (8, 3, 8, 8)
    assert found.test.images.shape == (6, 3, 8, 8)
    assert set(found.train.ids) | set(found.test.ids) == {f"{c}/{i:03d}.png" for c in ("cat", "dog") for i in range(7)}
    assert load("folder", tmp_path, path=tmp_path, side=8).train.ids == found.train.ids


def test_folder_with_splits(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", classes=("good",))
    write_classes(tmp_path / "test", classes=("good", "scratch"), count=3)
    found = read_folder(tmp_path, side=8)
    assert found.classes == ("good", "scratch")
    assert (len(found.train), len(found.test)) == (6, 6)
    assert all(name.startswith("train/good/") for name in found.train.ids)


def test_one_unreadable_file_is_named_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_classes(tmp_path)
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "cat" / "notes.txt").write_text("no image by its ending")
    found = read_folder(tmp_path, side=8)
    assert len(found.train) + len(found.test) == 12
    assert "left out 1 of 13" in caplog.text
    assert "cat/broken.jpg" in caplog.text


def test_many_unreadable_files_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path)
    whole = (tmp_path / "dog" / "000.png").read_bytes()
    (tmp_path / "dog" / "000.png").write_bytes(whole[:-60])
    (tmp_path / "dog" / "001.png").write_bytes(b"")
    with pytest.raises(BadInputError, match=r"2 of 12 .*dog/000\.png.*dog/001\.png"):
        read_folder(tmp_path, side=8)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.png"
    write_classes(root)
    write_image(secret)
    (root / "cat" / "link.png").symlink_to(secret)
    (root / "cat" / "inside.png").symlink_to(root / "cat" / "000.png")
    found = read_folder(root, side=8)
    assert "cat/inside.png" in found.train.ids + found.test.ids
    assert "cat/link.png (links out of the data folder)" in caplog.text
    write_classes(tmp_path / "elsewhere", classes=("bird",))
    (root / "bird").symlink_to(tmp_path / "elsewhere" / "bird")
    with pytest.raises(BadInputError, match="links out of the data"):
        read_folder(root, side=8)


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "images")
    with pytest.raises(BadInputError, match="did you mean: images"):
        read_folder(tmp_path / "image", side=8)
    with pytest.raises(BadInputError, match="a side of 0"):
        read_folder(tmp_path / "images", side=0)
    with pytest.raises(BadInputError, match="needs a path"):
        load("folder", tmp_path)
    with pytest.raises(BadInputError, match="not for 'digits'"):
        load("digits", tmp_path, path=tmp_path)
    write_image(tmp_path / "images" / "lone" / "a.png")
    with pytest.raises(BadInputError, match="'lone' has 1 usable"):
        read_folder(tmp_path / "images", side=8)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("a b", "c"), "class name 'a b'"),
        (("train/cat",), "no test/"),
        (("cat/small", "dog"), "has a folder 'small' in it"),
        ((".hidden",), "no class folders"),
    ],
)
def test_bad_class_folders_are_refused(tmp_path: Path, classes: tuple[str, ...], message: str) -> None:
    write_classes(tmp_path, classes=classes, count=2)
    with pytest.raises(BadInputError, match=message):
        read_folder(tmp_path, side=8)


def test_empty_class_folder_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="'empty' has no images"):
        read_folder(tmp_path, side=8)


# --- decoding


def test_decode_crops_the_centre(tmp_path: Path) -> None:
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = (10, 20, 30)
    Image.fromarray(wide).save(tmp_path / "a.png")
    got = decode(tmp_path / "a.png", 4)
    assert got.shape == (3, 4, 4)
    assert np.array_equal(got, np.broadcast_to(np.array([10, 20, 30], np.uint8)[:, None, None], (3, 4, 4)))


def test_decode_turns_by_exif(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees: the top goes to the right
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    got = decode(tmp_path / "a.png", 8)
    assert got[0, :, 4:].min() == 255
    assert got[0, :, :4].max() == 0


def test_decode_modes(tmp_path: Path) -> None:
    def saved(image: Image.Image, name: str = "a.png", **options: object) -> NDArray[np.uint8]:
        image.save(tmp_path / name, **options)
        return decode(tmp_path / name, 4)[:, 0, 0]

    assert saved(Image.new("L", (4, 4), 77)).tolist() == [77, 77, 77]
    assert saved(Image.new("1", (4, 4), 1)).tolist() == [255, 255, 255]
    assert saved(Image.fromarray(np.full((4, 4), 25700, np.uint16))).tolist() == [100, 100, 100]
    assert saved(Image.fromarray(np.full((4, 4), 65535, np.uint16)), "a.tif").tolist() == [255, 255, 255]
    assert saved(Image.fromarray(np.full((4, 4), 25700, np.uint16)), "a.pgm").tolist() == [100, 100, 100]
    assert saved(Image.new("RGBA", (4, 4), (200, 100, 50, 0))).tolist() == [0, 0, 0]
    assert saved(Image.new("RGBA", (4, 4), (200, 100, 50, 255))).tolist() == [200, 100, 50]
    assert saved(Image.new("LA", (4, 4), (200, 51))).tolist() == [40, 40, 40]
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    assert saved(palette).tolist() == [9, 8, 7]
    assert saved(palette, transparency=1).tolist() == [0, 0, 0]
    assert saved(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "a.jpg").tolist() == [255, 255, 255]
    with pytest.raises(UnreadableError, match="range"):
        saved(Image.new("F", (4, 4), 0.5), "b.tif")


def test_decompression_bombs_are_refused(tmp_path: Path) -> None:
    Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 20_000
    with pytest.raises(UnreadableError, match="8000x8000 pixels"):
        decode(tmp_path / "bomb.png", 8)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(UnreadableError, match="DecompressionBomb"):
        decode(tmp_path / "bomb.png", 8)


def test_every_truncation_is_an_unreadable_error_or_an_image(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "gif", "tif", "bmp", "webp"):
        write_image(tmp_path / f"whole.{suffix}")
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        cut = tmp_path / f"cut.{suffix}"
        for length in range(0, len(whole), max(1, len(whole) // 40)):
            cut.write_bytes(whole[:length])
            try:
                assert decode(cut, 4).shape == (3, 4, 4)
            except UnreadableError:
                continue


# --- resizing


def test_resize() -> None:
    images = RNG.integers(0, 256, (5, 3, 8, 8)).astype(np.uint8)
    assert resize(images, 8) is images
    big = resize(images, 32)
    assert big.shape == (5, 3, 32, 32)
    assert big.dtype == np.uint8
    flat = np.full((2, 1, 9, 6), 201, np.uint8)
    assert (resize(flat, 32) == 201).all()
    assert (resize(flat, 4) == 201).all()
    # Antialiased: every source pixel counts, so the mean of a checkerboard stays.
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)[None, None]
    assert np.abs(resize(board, 8).astype(float) - 127.5).max() < 20
    assert resize(images[:0], 4).shape == (0, 3, 4, 4)
    with pytest.raises(BadInputError):
        resize(images, 0)


def test_bilinear_values_by_hand() -> None:
    two = np.array([0, 100], np.uint8).reshape(1, 1, 1, 2).repeat(2, axis=2)
    # Pixel centres at half-integers: 4 columns lie at -.25, .25, .75 and 1.25 of the old grid.
    assert resize(two, 4)[0, 0, 0].tolist() == [0, 25, 75, 100]
