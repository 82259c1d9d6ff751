"""Pictures for the eye as arrays, laid out by torchvision and drawn by matplotlib; writing files is the caller's."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from workloads.data.conform import as_channels

Picture = NDArray[np.uint8]
"""(H, W, 3)."""

LEAST = 64  # pixels of an image's side in a picture
GAP, DPI, FRAME = 8, 100, 200  # a frame of light grey shows against white and black
OPACITY = 0.65  # of a score map over the grey image


def image_grid(images: Tensor, columns: int) -> Picture:
    """Images, uint8 (N, 1 or 3, S, S), in rows of `columns`, enlarged by a whole number to at least 64 pixels."""
    from torchvision.utils import make_grid  # takes seconds, and few processes draw

    large = F.interpolate(images.cpu(), scale_factor=float(math.ceil(LEAST / images.shape[-1])))  # pixels stay squares
    picture: Picture = make_grid(large, nrow=columns, pad_value=FRAME).permute(1, 2, 0).numpy()
    return picture


def image_rows(rows: Mapping[str, Tensor]) -> Picture:
    """Images of each name in a row of its own beside that name; rows may differ in length."""
    grids = {name: image_grid(images, len(images)) for name, images in rows.items()}
    left = GAP + 8 * max(map(len, grids))  # as wide as the longest name at 10 points
    width = left + max(grid.shape[1] for grid in grids.values()) + GAP
    bottom = height = sum(grid.shape[0] for grid in grids.values()) + 2 * GAP
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    bottom -= GAP
    for name, grid in grids.items():
        bottom -= grid.shape[0]
        figure.figimage(grid, left, bottom)
        middle = (bottom + grid.shape[0] / 2) / height
        figure.text((left - GAP) / width, middle, name, ha="right", va="center", fontsize=9)
    return drawn(figure)


class Panel(NamedTuple):
    """An image, uint8 (1 or 3, S, S), a map of scores (S, S), or the map over the image in grey."""

    image: Tensor | None = None
    scores: Tensor | None = None


def panel_rows(rows: Sequence[Sequence[Panel]], titles: Sequence[str], low: float = 0.0, high: float = 1.0) -> Picture:
    """Rows of panels below their titles. Colours reach from the score `low` to `high` in all that have scores."""
    figure = Figure(figsize=(1.8 * len(titles) + 0.9, 1.8 * len(rows) + 0.3), dpi=DPI, layout="constrained")
    colours = ScalarMappable(Normalize(low, max(high, low + 1e-12)), "inferno")  # lightness rises evenly with the score
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    for axes, panel in zip(grid.flat, (panel for row in rows for panel in row), strict=True):
        if panel.image is not None:
            image = as_channels(panel.image[None].cpu(), 3 if panel.scores is None else 1)
            axes.imshow(image[0].permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        if panel.scores is not None:
            shown = colours.to_rgba(panel.scores.cpu().numpy(), alpha=1 if panel.image is None else OPACITY)
            axes.imshow(shown, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    if all(panel.scores is None for row in rows for panel in row):
        return drawn(figure)
    bar = figure.colorbar(colours, ax=grid, aspect=12 * len(rows), pad=0.02)
    bar.set_label("anomaly score", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return drawn(figure)


def drawn(figure: Figure) -> Picture:
    """The figure's pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
