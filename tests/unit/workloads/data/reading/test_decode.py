"""One image file, of any depth."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.helpers.files import write_image
from workloads.data.conform import conform
from workloads.data.reading.decode import UnreadableError, decode, decode_windows, largest_value, white_level_of
from workloads.data.windows import Form
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


def test_colours_of_sixteen_bits_keep_their_levels(tmp_path: Path) -> None:
    """Pillow would keep the upper 8 of them: of a 12-bit camera's values, 16 levels."""
    values = (np.arange(16 * 16 * 3).reshape(16, 16, 3) * 5).astype(np.uint16)  # up to 3,835
    write_png(values, tmp_path / "a.png")
    assert largest_value(tmp_path / "a.png") == values.max()
    assert white_level_of(int(values.max())) == 4095
    seen = decode_windows(tmp_path / "a.png", Form(16, 16, white_level=4095))
    np.testing.assert_array_equal(seen.windows[0], np.rint(values.transpose(2, 0, 1) * (255 / 4095)))
    assert seen.clipped == 0
    above = decode_windows(tmp_path / "a.png", Form(16, 16, white_level=1023))
    assert above.clipped == pytest.approx((values > 1023).any(axis=2).mean())
    assert (above.windows[0] == 255).mean() > 0.7
    assert decode(tmp_path / "a.png", 16).max() == round(int(values.max()) / 257)


def test_what_pillow_reads_the_upper_bits_of_is_refused_where_the_others_count(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    write_deep_tiff(file, np.full((8, 8, 3), 4000, np.uint16))
    assert decode(file, 8).tolist() == np.full((3, 8, 8), 4000 >> 8).tolist()
    with pytest.raises(UnreadableError, match=r"upper 8 can be read.*4095"):
        decode_windows(file, Form(8, 8, white_level=4095))


def write_png(pixels: NDArray[np.uint16], file: Path) -> None:
    """16-bit RGB, which Pillow does not write: the specification's three chunks."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2")
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    parts = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def write_deep_tiff(file: Path, pixels: NDArray[np.uint16]) -> None:
    """16-bit RGB, uncompressed, little-endian: one strip."""
    height, width, channels = pixels.shape
    data, after = pixels.astype("<u2").tobytes(), 8 + 2 + 9 * 12 + 4
    long = {256: width, 257: height, 273: after + 6, 278: height, 279: len(data)}
    short = {259: 1, 262: 2, 277: channels}
    tags = [(tag, 4, 1, value) for tag, value in long.items()] + [(tag, 3, 1, value) for tag, value in short.items()]
    entries = sorted([*tags, (258, 3, channels, after)])
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    bits = struct.pack("<HHH", 16, 16, 16)
    file.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0) + bits + data)
