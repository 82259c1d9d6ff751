"""One image file, one mask, and resizing."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.helpers.files import RNG, write_image, write_mask
from workloads.data.conform import conform
from workloads.data.reading.decode import UnreadableError, decode, decode_mask, resize_mask
from workloads.errors import UserError
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


# --- masks


def test_a_mask_is_cut_and_turned_as_its_image(tmp_path: Path) -> None:
    """The same picture as image and as mask comes out as the same picture."""
    marked = np.zeros((8, 12), bool)
    marked[:4, 2:6] = True
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = Image.fromarray(marked.astype(np.uint8) * 255)
    raw.save(tmp_path / "turned.png", exif=exif)
    write_mask(tmp_path / "upright.png", np.rot90(marked, -1))
    image = decode(tmp_path / "turned.png", 8)
    assert np.array_equal(decode_mask(tmp_path / "upright.png", tmp_path / "turned.png", 8), image[0] // 255)
    raw.save(tmp_path / "flat.png")
    with pytest.raises(UnreadableError, match="12x8 pixels, its image has 8x12"):
        decode_mask(tmp_path / "flat.png", tmp_path / "turned.png", 8)


def test_whatever_is_not_black_is_anomalous(tmp_path: Path) -> None:
    marked = np.zeros((4, 4), np.uint8)
    marked[1, 2] = 1
    palette = Image.fromarray(marked, "P")
    palette.putpalette([0, 0, 0, 200, 0, 0])
    kinds = {
        "L": Image.fromarray(marked),
        "1": Image.fromarray(marked.astype(bool)),
        "16": Image.fromarray(marked.astype(np.uint16)),
        "RGBA": Image.fromarray(np.dstack([marked, marked * 0, marked, np.full((4, 4), 255, np.uint8)])),
        "P": palette,
    }
    write_image(tmp_path / "image.png", (4, 4))
    for name, mask in kinds.items():
        mask.save(tmp_path / f"{name}.png")
        assert np.array_equal(decode_mask(tmp_path / f"{name}.png", tmp_path / "image.png", 4), marked), name


def test_resize_mask() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = mask[2, 2] = mask[2, 3] = 1
    assert resize_mask(mask, 4) is mask
    assert resize_mask(mask, 2).tolist() == [[0, 0], [0, 1]]  # a quarter and a half of the new pixel
    assert np.array_equal(resize_mask(mask, 8), mask.repeat(2, 0).repeat(2, 1))


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
    with pytest.raises(UserError):
        resize(images, 0)


def test_bilinear_values_by_hand() -> None:
    two = np.array([0, 100], np.uint8).reshape(1, 1, 1, 2).repeat(2, axis=2)
    # Pixel centres at half-integers: 4 columns lie at -.25, .25, .75 and 1.25 of the old grid.
    assert resize(two, 4)[0, 0, 0].tolist() == [0, 25, 75, 100]
