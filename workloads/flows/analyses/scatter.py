"""Points in a square of pixels, without a plotting library."""

import numpy as np
from PIL import Image, ImageDraw

SIDE, MARGIN, DOT = 420, 44, 2  # pixels
NORMAL, ANOMALOUS, INK, PAPER = (0, 114, 178), (230, 159, 0), (60, 60, 60), (255, 255, 255)


def scatter(x: np.ndarray, y: np.ndarray, marked: np.ndarray, names: tuple[str, str]) -> np.ndarray:
    """uint8 (H, W, 3): points (x, y) to the right and upwards, each axis on a scale of its own.

    x, y: (N,). marked: (N,) bool, these are orange and the others blue. names: of the axes. A scale reaches over 98 %
    of the values; what lies beyond is drawn at the border. The numbers at the corners are its ends.
    """
    picture = Image.new("RGB", (SIDE + 2 * MARGIN,) * 2, PAPER)
    draw = ImageDraw.Draw(picture)
    left, right = MARGIN, MARGIN + SIDE
    draw.rectangle((left, left, right, right), outline=INK)
    (low_x, high_x), (low_y, high_y) = limits(x), limits(y)
    across = left + SIDE * np.clip((x - low_x) / (high_x - low_x), 0, 1)
    down = right - SIDE * np.clip((y - low_y) / (high_y - low_y), 0, 1)
    for i in np.random.default_rng(0).permutation(len(x)):  # neither colour lies on top
        box = (across[i] - DOT, down[i] - DOT, across[i] + DOT, down[i] + DOT)
        draw.ellipse(tuple(map(float, box)), fill=ANOMALOUS if marked[i] else NORMAL)
    draw.text((left, right + 4), f"{low_x:.2f}", fill=INK)
    draw.text((right, right + 4), f"{high_x:.2f}", fill=INK, anchor="ra")
    draw.text(((left + right) / 2, right + 4), names[0], fill=INK, anchor="ma")
    draw.text((left - 4, left), f"{high_y:.2f}", fill=INK, anchor="ra")
    draw.text((left - 4, right), f"{low_y:.2f}", fill=INK, anchor="rd")
    draw.text((left, left - 4), f"{names[1]} (upwards)", fill=INK, anchor="ld")
    return np.asarray(picture)


def limits(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis; 0 and 1 for no values."""
    low, high = map(float, np.percentile(values, (1, 99))) if len(values) else (0.0, 1.0)
    return low, max(high, low + 1e-6)
