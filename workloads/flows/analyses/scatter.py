"""Points in a square of pixels, without a plotting library."""

import numpy as np
from PIL import Image, ImageDraw

SIDE, MARGIN, DOT = 420, 44, 2  # pixels
NORMAL, ANOMALOUS, INK, PAPER = (0, 114, 178), (230, 159, 0), (60, 60, 60), (255, 255, 255)


def scatter(x: np.ndarray, y: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3): points (x, y) to the right and upwards on one scale for both, with the diagonal x = y.

    x, y: (N,). marked: (N,) bool, these are orange and the others blue. The scale reaches over 99 % of the values; what
    lies beyond is drawn at the border. The numbers at the corners are its ends.
    """
    both = np.concatenate([x, y]).astype(np.float64)
    low, high = np.percentile(both, (0.5, 99.5)) if len(both) else (0.0, 1.0)
    high = max(high, low + 1e-6)
    picture = Image.new("RGB", (SIDE + 2 * MARGIN,) * 2, PAPER)
    draw = ImageDraw.Draw(picture)
    left, right = MARGIN, MARGIN + SIDE
    draw.rectangle((left, left, right, right), outline=INK)
    draw.line((left, right, right, left), fill=INK)
    across, up = (np.clip((v - low) / (high - low), 0, 1) * SIDE for v in (x, y))
    for i in np.random.default_rng(0).permutation(len(x)):  # neither colour lies on top
        centre = left + float(across[i]), right - float(up[i])
        box = (centre[0] - DOT, centre[1] - DOT, centre[0] + DOT, centre[1] + DOT)
        draw.ellipse(box, fill=ANOMALOUS if marked[i] else NORMAL)
    draw.text((left, right + 4), f"{low:.2f}", fill=INK)
    draw.text((right, right + 4), f"{high:.2f}", fill=INK, anchor="ra")
    draw.text(((left + right) / 2, right + 4), "general flow, bits/dim", fill=INK, anchor="ma")
    draw.text((left, left - 16), f"{high:.2f}   own flow, bits/dim (upwards)", fill=INK)
    return np.asarray(picture)
