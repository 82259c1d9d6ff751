"""Masks, whatever program wrote them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.files import write_mask
from workloads.data.reading.decode import UnreadableError, decode_windows
from workloads.data.reading.mask_file import decode_mask, fitted_mask, resize_mask
from workloads.data.windows import Form

SPOT = np.zeros((60, 60), bool)
SPOT[20:40, 15:35] = True  # 11.1 % of the pixels
GREY = (SPOT * 255).astype(np.uint8)


def read(folder: Path, image: Image.Image, name: str = "mask.png", **options: object) -> np.ndarray:
    image.save(folder / name, **options)
    return decode_mask([folder / name], image.height, image.width)


@pytest.mark.parametrize("fit", ["crop", "squeeze", "pad", "tiles"])
def test_a_mask_is_cut_and_turned_as_its_image(tmp_path: Path, fit: str) -> None:
    """The same picture as image and as mask comes out as the same picture."""
    marked = np.zeros((8, 12), bool)
    marked[:4, 2:6] = True
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = Image.fromarray(marked.astype(np.uint8) * 255)
    raw.save(tmp_path / "turned.png", exif=exif)
    write_mask(tmp_path / "upright.png", np.rot90(marked, -1))
    form = Form(8, 8, fit)
    image = decode_windows(tmp_path / "turned.png", form)
    assert (image.height, image.width) == (12, 8)
    mask = decode_mask([tmp_path / "upright.png"], 12, 8)
    same = fitted_mask(mask, form) == image.windows[:, 0] // 128
    assert same.all() if fit in ("crop", "tiles") else same.mean() > 0.9
    raw.save(tmp_path / "flat.png")
    with pytest.raises(UnreadableError, match="12x8 pixels, its image has 8x12"):
        decode_mask([tmp_path / "flat.png"], 12, 8)


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
    for name, mask in kinds.items():
        assert np.array_equal(read(tmp_path, mask), marked), name
    assert not read(tmp_path, Image.new("L", (4, 4))).any()


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_a_mask_that_jpeg_has_worn_marks_what_was_marked(tmp_path: Path, quality: int) -> None:
    got = read(tmp_path, Image.fromarray(GREY), "worn.jpg", quality=quality)
    assert (got != SPOT).mean() < 0.01
    with Image.open(tmp_path / "worn.jpg") as worn:
        again = read(tmp_path, worn.copy(), "saved_later.png")
    assert (again != SPOT).mean() < 0.01


def test_kinds_of_defects_by_grey_values_are_all_marked(tmp_path: Path) -> None:
    kinds = np.zeros((60, 60), np.uint8)
    kinds[5:15, 5:15], kinds[30:40, 30:40], kinds[50:55, 5:10] = 1, 2, 3
    assert np.array_equal(read(tmp_path, Image.fromarray(kinds)), kinds > 0)
    assert np.array_equal(read(tmp_path, Image.fromarray(kinds * np.uint8(80))), kinds > 0)
    with pytest.raises(UnreadableError, match=r"grey value \d\d,.*without losses"):
        read(tmp_path, Image.fromarray(kinds * np.uint8(80)), "lossy.jpg", quality=90)


def test_smoothed_edges_do_not_make_a_mask_larger(tmp_path: Path) -> None:
    smooth = Image.fromarray(GREY).resize((120, 120), Image.Resampling.BILINEAR)
    assert read(tmp_path, smooth).mean() == pytest.approx(SPOT.mean(), rel=0.06)


def test_a_mask_may_lie_in_transparency_or_in_palette_numbers(tmp_path: Path) -> None:
    for colour in (0, 90, 255):
        grey = np.full((60, 60), colour, np.uint8)
        assert np.array_equal(read(tmp_path, Image.fromarray(np.dstack([grey, GREY]), "LA")), SPOT), colour
    white_on_nothing = np.dstack([GREY, GREY, GREY, GREY])
    assert np.array_equal(read(tmp_path, Image.fromarray(white_on_nothing)), SPOT)
    numbers = Image.fromarray(SPOT.astype(np.uint8), "P")
    for colours in ([0, 0, 0, 128, 0, 0], [0, 0, 0, 0, 0, 0], [9, 9, 90, 255, 255, 0]):
        numbers.putpalette(colours)
        assert np.array_equal(read(tmp_path, numbers), SPOT), colours
    photo = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    with pytest.raises(UnreadableError, match="transparency both vary"):
        read(tmp_path, Image.fromarray(np.dstack([photo, GREY]), "LA"))


def test_several_masks_of_an_image_are_one(tmp_path: Path) -> None:
    other = np.zeros((60, 60), bool)
    other[50:, 50:] = True
    write_mask(tmp_path / "000.png", SPOT)
    write_mask(tmp_path / "001.png", other)
    assert np.array_equal(decode_mask([tmp_path / "000.png", tmp_path / "001.png"], 60, 60), SPOT | other)


def test_resize_mask() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = mask[2, 2] = mask[2, 3] = 1
    assert resize_mask(mask, 4, 4) is mask
    assert resize_mask(mask, 2, 2).tolist() == [[0, 0], [0, 1]]  # a quarter and a half of the new pixel
    assert resize_mask(mask, 2, 4).tolist() == [[1, 0, 0, 0], [0, 0, 1, 1]]
    assert np.array_equal(resize_mask(mask, 8, 8), mask.repeat(2, 0).repeat(2, 1))
