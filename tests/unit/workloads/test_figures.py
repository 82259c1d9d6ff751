"""Pictures show what they are made of: images pixel by pixel, rows in order, maps in the colours of their limits."""

import numpy as np
import pytest
import torch

from workloads.figures import FRAME, LEAST, Panel, image_grid, image_rows, panel_rows

COLOURS = ((200, 0, 0), (0, 200, 0), (0, 0, 200))


def flat(colour, count=1):
    return torch.tensor(colour, dtype=torch.uint8)[None, :, None, None].expand(count, 3, 8, 8)


def coloured(picture, colour):
    return (picture == np.array(colour)).all(-1)


@pytest.mark.parametrize(("side", "shown"), [(10, 70), (32, 64), (64, 64), (80, 80)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_enlarged_by_whole_pixels(side, shown, channels):
    images = torch.randint(256, (3, channels, side, side), generator=torch.Generator().manual_seed(0)).byte()
    picture = image_grid(images, columns=2)
    assert (picture.shape, picture.dtype) == ((2 * (shown + 2) + 2, 2 * (shown + 2) + 2, 3), np.uint8)
    times = shown // side
    for image, (top, left) in zip(images, ((2, 2), (2, shown + 4), (shown + 4, 2)), strict=True):
        cells = picture[top : top + shown, left : left + shown].reshape(side, times, side, times, 3)
        assert (cells == cells[:, :1, :, :1]).all()
        assert np.array_equal(cells[:, 0, :, 0], image.expand(3, -1, -1).permute(1, 2, 0))


def test_rows_stand_in_order_and_may_differ_in_length():
    red, green, blue = COLOURS
    picture = image_rows({"dark": flat(red, count=3), "a longer name": flat(green, 2), "grey": flat(blue, 2)})
    places = [np.nonzero(coloured(picture, colour)) for colour in COLOURS]
    assert [len(rows) for rows, _ in places] == [3 * LEAST**2, 2 * LEAST**2, 2 * LEAST**2]
    assert places[0][0].max() < places[1][0].min() < places[1][0].max() < places[2][0].min()
    assert {columns.min() for _, columns in places} == {places[0][1].min()}
    assert coloured(picture, (FRAME,) * 3).any()


def test_a_map_is_dark_at_its_lowest_limit_and_bright_at_its_highest():
    low, high = ([Panel(scores=torch.full((4, 4), value))] for value in (0.2, 0.9))
    black, yellow = (0, 0, 3), (252, 254, 164)
    for rows, colour in ((low, black), (high, yellow)):
        area = coloured(panel_rows([rows], ["map"], 0.2, 0.9), colour).sum()
        assert area > 100**2
    beyond = panel_rows([[Panel(scores=torch.full((4, 4), 7.0))]], ["map"], 0.2, 0.9)
    assert coloured(beyond, yellow).sum() > 100**2


def test_a_panel_is_an_image_a_map_or_both_and_limits_may_meet():
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[0] = 200
    row = [Panel(image), Panel(image, torch.zeros(8, 8)), Panel(scores=torch.zeros(8, 8))]
    picture = panel_rows([row, row], ["image", "both", "map"], 0.0, 0.0)
    assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
    assert coloured(picture, (200, 0, 0)).sum() > 2 * 100**2
    assert np.array_equal(picture, panel_rows([row, row], ["image", "both", "map"], 0.0, 0.0))
