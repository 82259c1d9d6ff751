"""Images of any shape as windows of one shape, and maps of windows as maps of images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workloads.data.conform import on_image, windowed
from workloads.data.reading.decode import UnreadableError, decode_windows
from workloads.data.windows import Form, layout, stitch, window_count

SIZES = st.integers(1, 70)
FITS = ("crop", "squeeze", "pad", "tiles")


def ramp(height, width):
    """A picture (1, H, W) in which every place has a grey level of its own, smooth."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.rint(255 * (rows + columns) / max(1, height + width - 2)).astype(np.uint8)[None]


@given(SIZES, SIZES, st.integers(8, 20), st.integers(8, 20))
def test_tiles_cover_every_pixel_at_the_images_own_resolution(height, width, tall, wide):
    form = Form(tall, wide, "tiles")
    image = np.random.default_rng(0).integers(0, 256, (1, height, width), dtype=np.uint8)
    made = windowed(image, form)
    assert made.windows.shape == (window_count(height, width, form), 1, tall, wide)
    assert (made.layout.places[:, :2] >= 0).all()
    whole = stitch(made.windows[:, 0].astype(np.float32), made.layout.places)
    assert not np.isnan(whole).any()
    if height >= tall and width >= wide:
        np.testing.assert_array_equal(whole, image[0])
    else:
        assert whole.shape[0] == tall or whole.shape[1] == wide, "no larger than a window asks for"


def test_tiles_are_evenly_spread_and_end_at_the_border():
    assert layout(24, 100, Form(24, 24, "tiles")).places[:, 1].tolist() == [0, 19, 38, 57, 76]
    assert layout(24, 48, Form(24, 24, "tiles")).places[:, 1].tolist() == [0, 24]
    assert layout(12, 48, Form(24, 24, "tiles")).size == (24, 96)


@pytest.mark.parametrize("fit", FITS)
@given(SIZES, SIZES)
def test_a_map_of_the_windows_lies_on_the_image_where_they_were_taken(fit, height, width):
    image = ramp(height, width)
    made = windowed(image, Form(16, 16, fit))
    assert made.windows.shape[1:] == (1, 16, 16)
    seen = stitch(made.windows[:, 0].astype(np.float32), made.layout.places)
    back = on_image(seen, made.layout, height, width)
    assert back.shape == (height, width)
    looked_at = ~np.isnan(back)
    assert fit == "crop" or looked_at.all()
    step = max(255 / max(1, height + width - 2), 1)  # between neighbours
    allowed = step * max(1, height / 16, width / 16) * 2
    assert np.abs(back - image[0])[looked_at].max() <= allowed


def test_pad_keeps_the_ratio_and_is_black_around(tmp_path):
    Image.new("RGB", (40, 10), (9, 200, 7)).save(tmp_path / "a.png")
    window = decode_windows(tmp_path / "a.png", Form(16, 16, "pad")).windows[0]
    assert (window[:, 6:10] == np.array([9, 200, 7], np.uint8)[:, None, None]).all()
    assert not window[:, :6].any()
    assert not window[:, 10:].any()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(40, 25), (25, 40), (10, 30), (16, 16), (64, 64)])
def test_a_file_and_the_array_of_it_are_the_same_windows(tmp_path, fit, size):
    image = np.repeat(ramp(*size)[0][..., None], 3, 2)
    Image.fromarray(image).save(tmp_path / "a.png")
    of_file = decode_windows(tmp_path / "a.png", Form(16, 16, fit))
    of_array = windowed(image.transpose(2, 0, 1), Form(16, 16, fit))
    np.testing.assert_array_equal(of_file.layout.places, of_array.layout.places)
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    difference = np.abs(of_file.windows[inside].astype(int) - of_array.windows[inside].astype(int))
    assert difference.max() <= 1, "Pillow rounds between the two directions"


def test_an_image_that_would_have_to_grow_too_large_is_refused(tmp_path):
    Image.new("L", (60_000, 2)).save(tmp_path / "thread.png")
    with pytest.raises(UnreadableError, match=r"60000x2 pixels.*7680000x256"):
        decode_windows(tmp_path / "thread.png", Form(256, 256, "tiles"))
    assert decode_windows(tmp_path / "thread.png", Form(32, 32, "tiles")).windows.shape == (30_000, 3, 32, 32)
