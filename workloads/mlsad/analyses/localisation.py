"""Where in an image the anomaly is: window scores of several levels as one map of pixels (section 3 of the paper)."""

from collections.abc import Mapping
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workloads.data.reading.region import IGNORED
from workloads.data.view import TargetView
from workloads.figures import Panel, panel_rows
from workloads.learner import Finding, Fitted
from workloads.method import mean_of_parts
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.levels import part_of
from workloads.mlsad.pooling import pooled
from workloads.mlsad.scorer import at_pixels, scorers
from workloads.scoring.metrics import pixel_auroc

SHOWN = 4  # images at either end of the order of scores
QUIET, LOUD = 1.0, 99.5  # percentiles of the maps of normal images at which colours begin and, at least, end


def pixel_map(maps: Mapping[int, Tensor], side: int) -> Tensor:
    """Mean over levels of their window scores at the pixels.

    maps: level k -> (N, S-k+1, S-k+1) in [0, 1]; side: S. Returns float32 (N, S, S) in [0, 1].
    Source: Dai et al., arXiv 2104.12102, section 3: resized, aligned, averaged; the details are ours.
    """
    total = sum(at_pixels(scores.float(), level, side) for level, scores in maps.items())
    if not isinstance(total, Tensor):
        raise ValueError("a pixel map needs the window scores of one level or more")
    return total / len(maps)


def window_maps(config: MLSADConfig, view: TargetView, fitted: Fitted, images: Tensor) -> dict[int, Tensor]:
    """Level -> window scores (N, M, M) of uint8 images (N, C, S, S), by the target's trained detectors."""
    return {level: scorer.window_scores(images) for level, scorer in scorers(config, view, fitted).items()}


def limits(normal: Tensor, shown: Tensor) -> tuple[float, float]:
    """Scores at which colours begin and end, from the maps (N, S, S) of normal images and of those to be shown."""
    low, loud = np.percentile(normal.cpu().numpy(), (QUIET, LOUD))
    return float(low), max(float(loud), float(shown.max()))


def of_images(view: TargetView, maps: Tensor) -> NDArray[np.float32]:
    """Maps (N, S, S) of the test rows; where images have several windows, the pixels of whole images, (pixels,)."""
    values = maps.cpu().numpy()
    if "test" not in view.windows:
        return values
    return np.concatenate([whole.ravel() for whole in view.stitched("test", values.astype(np.float32))])


def localise(config: MLSADConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """Pixel maps of a target's test images, with the levels of `map_levels`.

    Numbers: where the test images have masks, the AUROC over all their pixels in [0, 1], higher is better, of the map
    (`pixel_auroc`) and of every level alone (`pixel_auroc/level_4`); None if no pixel is odd. No masks, no number.
    Pictures: `most_anomalous` and `most_normal`, the test images at both ends by image score, the most extreme on top;
    a row is the image, its map over it, and the true mask where there is one; of large images, a window of theirs. The
    colours' limits are the target's, from its held-out normal images and those shown.
    """
    side, used = view.shape.side, config.map_levels or config.levels
    windows = window_maps(config, view, fitted, view.tested)
    maps = pixel_map({level: windows[level] for level in used}, side)
    numbers: dict[str, float | None] = {}
    if (masks := view.masks) is not None:
        marked = of_images(view, masks)
        seen = marked != IGNORED
        numbers["pixel_auroc"] = pixel_auroc(of_images(view, maps)[seen], marked[seen])
        for level, scores in windows.items():
            at_level = of_images(view, at_pixels(scores, level, side))
            numbers[f"pixel_auroc/{part_of(level)}"] = pixel_auroc(at_level[seen], marked[seen])
    parts = {part_of(level): pooled(scores, config.pooling).cpu().numpy() for level, scores in windows.items()}
    order = np.argsort(mean_of_parts(parts), kind="stable")
    ends = {"most_anomalous": order[::-1][:SHOWN].tolist(), "most_normal": order[:SHOWN].tolist()}
    normal = window_maps(config, view, fitted, view.val)
    low, high = limits(pixel_map({level: normal[level] for level in used}, side), maps[[*chain(*ends.values())]])
    titles = ("image", "map", "mask")[: 2 if masks is None else 3]

    def panels(i: int) -> list[Panel]:
        row = [Panel(view.tested[i]), Panel(view.tested[i], maps[i])]
        return row if masks is None else [*row, Panel(255 * (masks[i] == 1)[None])]

    pictures = {name: panel_rows([panels(i) for i in rows], titles, low, high) for name, rows in ends.items()}
    return Finding(numbers, pictures)
