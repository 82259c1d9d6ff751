"""SVHN from made MATLAB files."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.helpers.files import pixels
from workloads.data.catalogue import CATALOGUE, entry
from workloads.data.datasets import load
from workloads.data.loaders.svhn import read_svhn_mat
from workloads.errors import UserError

LABELS = np.arange(1, 11, dtype=np.uint8)[:, None]  # as published: the digit 0 is labelled 10


def write_svhn(folder: Path) -> dict[str, np.ndarray]:
    folder.mkdir(exist_ok=True)
    made = {file: pixels(32, 32, 3, 10) for file in ("train_32x32.mat", "test_32x32.mat")}
    for file, images in made.items():
        savemat(folder / file, {"X": images, "y": LABELS}, do_compression=True)
    return made


@pytest.mark.parametrize("folder", [".", "svhn"])
def test_made_files_are_read(tmp_path: Path, folder: str, caplog: pytest.LogCaptureFixture) -> None:
    made = write_svhn(tmp_path / folder)
    svhn = load("svhn", tmp_path, download=False)
    assert svhn.train.images.shape == svhn.test.images.shape == (10, 3, 32, 32)
    assert np.array_equal(svhn.test.images[4], made["test_32x32.mat"][..., 4].transpose(2, 0, 1))
    assert svhn.test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert svhn.test.ids[9] == "svhn/test/00009"
    assert caplog.text.count("has MD5") == 2
    assert "train_32x32.mat has MD5" in caplog.text
    assert "73257 and 26032 as published" in caplog.text


def test_a_file_as_published_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_svhn(tmp_path)
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    monkeypatch.setitem(CATALOGUE, "svhn", replace(entry("svhn"), checksums=sums, train_images=10, test_images=10))
    load("svhn", tmp_path, download=False)
    assert not caplog.text


def test_half_of_it_is_reported(tmp_path: Path) -> None:
    write_svhn(tmp_path / "svhn")
    (tmp_path / "svhn" / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match=r"svhn lacks test_32x32\.mat"):
        load("svhn", tmp_path, download=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": pixels(32, 32, 3, 10), "y": LABELS[:9]}, "10 images but 9 labels"),
        ({"X": pixels(32, 32, 3, 10), "y": LABELS - 1}, "labels 0 to 9, expected 1 to 10"),
        ({"X": pixels(32, 32, 10), "y": LABELS}, r"X is uint8 \(32, 32, 10\)"),
        ({"X": pixels(32, 32, 3, 0), "y": LABELS[:0]}, "X is uint8"),
        ({"X": pixels(32, 32, 3, 10).astype(float), "y": LABELS}, "X is float64"),
        ({"y": LABELS}, "X is object"),
        ({"X": pixels(32, 32, 3, 10)}, "10 images but 1 labels"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(UserError, match=message):
        read_svhn_mat(tmp_path / "a.mat")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    whole = (tmp_path / "train_32x32.mat").read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        (tmp_path / "cut.mat").write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_svhn_mat(tmp_path / "cut.mat")
