"""A detector's scores of one target as rows of the score table, and what its maps are worth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.data.images import CALIBRATION, image_of_window, out_split
from workloads.data.view import TargetView
from workloads.data.windows import stitch
from workloads.learner import Contrasting, CrossScoring, GroupDetector, Learner, Localizing, Scorer, Scores
from workloads.scoring.pixel_metrics import PixelCounts, PixelMetrics
from workloads.scoring.proxies import cut_and_pasted
from workloads.scoring.table import group_rows, join, score_rows, with_other_windows

PIXELS = 1 << 22
"""Of the maps in memory at a time."""


def score(learner: Learner, scorer: Scorer, view: TargetView, *, last: bool) -> pa.Table:
    """A row a window and part: test images, held-out normal ones, proxy anomalies, the learner's own where it has some.

    scorer: of the learner, or itself. last: whether the schedule ends here; the out sets, which are large, and the
    images that thresholds rest on are scored then only. Of a detector of groups these are the proxies alone (see
    `score_groups`).
    """
    scores: dict[str, Scores] = {}
    if not isinstance(scorer, GroupDetector):
        scores = {"test": scorer.score(view.tested), "val": scorer.score(view.val)}
    if isinstance(learner, Contrasting):
        proxies = learner.contrast()
    else:
        proxies = {"cut_and_paste/val": scorer.score(cut_and_pasted(view.val))}
    scores |= in_images(proxies, scores.get("val", {}), view)
    if last and not isinstance(scorer, GroupDetector):
        scores |= {out_split(name): scorer.score(images) for name, images in view.out.items()}
        if view.calibration is not None:
            scores[CALIBRATION] = scorer.score(view.calibration)
        elif isinstance(learner, CrossScoring) and len(set(view.train_groups)) > 1:
            scores[CALIBRATION] = learner.cross_scores(image_of_window(view.train_groups))
            view = replace(
                view,
                ids={**view.ids, CALIBRATION: view.ids["train"]},
                class_names={**view.class_names, CALIBRATION: view.class_names["train"]},
            )
    return join([score_rows(view, split, parts) for split, parts in scores.items()])


def in_images(proxies: Mapping[str, Scores], held_out: Scores, view: TargetView) -> Mapping[str, Scores]:
    """Scores of made windows as those of images, where held-out images have several windows."""
    if "val" not in view.windows:
        return proxies
    numbers = image_of_window(view.ids["val"])
    return {
        split: {part: with_other_windows(values, held_out[part], numbers) for part, values in parts.items()}
        for split, parts in proxies.items()
    }


def pixel_metrics(scorers: Sequence[Localizing], view: TargetView) -> PixelMetrics | None:
    """How well maps of the test images agree with their masks; None without maps, or without masks.

    scorers: whose maps are averaged into the detector's. A few images' maps are in memory at a time.
    """
    if not scorers or view.masks is None or not len(view.masks):
        return None
    counts, places = PixelCounts(), view.windows.get("test")
    for images in few_windows(view.image_rows("test"), max(1, PIXELS // view.masks[0].numel())):
        first, last = images[0].start, images[-1].stop
        maps, masks = mean_maps(scorers, view.tested[first:last]), view.masks[first:last].cpu().numpy()
        for rows in (slice(image.start - first, image.stop - first) for image in images):
            if places is None:
                counts.add(maps[rows.start], masks[rows.start])
            else:
                lie = places[first:last][rows]
                counts.add(stitch(maps[rows], lie), stitch(masks[rows].astype(np.float32), lie).astype(np.uint8))
    return counts.metrics()


def few_windows(images: Sequence[slice], limit: int) -> Iterator[list[slice]]:
    """The rows of images that follow one another, so many images at a time that they have at most `limit` windows, or
    one that has more by itself."""
    waiting: list[slice] = []
    for image in images:
        if waiting and image.stop - waiting[0].start > limit:
            yield waiting
            waiting = []
        waiting.append(image)
    if waiting:
        yield waiting


def mean_maps(scorers: Sequence[Localizing], images: Tensor) -> NDArray[np.float32]:
    """The maps (N, H, W) of a detector: the mean of its parts' that have some. images: uint8 (N, C, H, W)."""
    few = images.split(max(1, PIXELS // images[0, 0].numel()))
    means = [torch.stack([scorer.maps(some).float() for scorer in scorers]).mean(0).cpu().numpy() for some in few]
    return np.concatenate(means)


def score_groups(detector: GroupDetector, view: TargetView, *, last: bool) -> pa.Table:
    """A row a group and part: groups of the normal test images, of the anomalous ones, of held-out images and, at
    last, of the out sets."""
    normal, others = (view.test_images(anomalous=anomalous) for anomalous in (False, True))
    anomalous = {"test": others} if len(others) else {}
    if last:
        anomalous |= {out_split(name): images for name, images in view.out.items()}
    return group_rows(view.target, detector.score_groups(view.val, normal, anomalous))
