"""Small files made in exactly the published formats, for the tests of the loaders."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from workloads.data.images import Dataset
from workloads.data.loaders import mnist, tiny_images

RNG = np.random.default_rng(0)


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def pixels(*shape: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def write_image(path: Path, size: tuple[int, int] = (12, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(size[1], size[0], 3)).save(path)


def write_images(root: Path, counts: Mapping[str, int], size: tuple[int, int] = (12, 10)) -> None:
    """counts: folder below the root -> images in it, named by their numbers."""
    for name, count in counts.items():
        for i in range(count):
            write_image(root / name / f"{i:03d}.png", size)


def write_classes(root: Path, count: int = 6, classes: tuple[str, ...] = ("cat", "dog")) -> None:
    write_images(root, dict.fromkeys(classes, count))


def left_out(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """What of a folder is not used: the beginning of each reason in the account -> the names."""
    assert dataset.account is not None
    return {item.reason.partition(":")[0]: item.names for item in dataset.account.left_out}


def write_mask(path: Path, values: NDArray[np.bool_]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8) * 255).save(path)


def cut_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails at once, as it does without a network, and the system has no datasets."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr(mnist, "SYSTEM_FOLDERS", {})


def flat_file(folder: Path, count: int) -> tuple[Path, NDArray[np.uint8]]:
    """A flat file of random images in the published format, and these."""
    images = pixels(count, 3, 32, 32)
    (folder / "tiny.bin").write_bytes(tiny_images.encode(images))
    return folder / "tiny.bin", images


def flip(file):
    """Damage a file: another byte in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
