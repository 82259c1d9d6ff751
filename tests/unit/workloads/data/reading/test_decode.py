"""One image file, one mask, and resizing."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.helpers.files import write_image
from workloads.data.conform import conform
from workloads.data.reading.decode import UnreadableError, decode
from workloads.units import ImageShape


def resize(images: np.ndarray, side: int) -> np.ndarray:
    return conform(images, ImageShape(images.shape[1], side, side))


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
