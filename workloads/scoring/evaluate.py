"""A detector's scores of one target as rows of the score table, and what its maps are worth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.data.images import CALIBRATION, image_of_window, out_split
from workloads.data.view import TargetView
from workloads.learner import Contrasting, CrossScoring, GroupDetector, Learner, Localizing, Scorer, Scores
from workloads.scoring.pixel_metrics import PixelCounts, PixelMetrics
from workloads.scoring.proxies import cut_and_pasted
from workloads.scoring.table import group_rows, join, score_rows

PIXELS = 1 << 22
"""Of the maps in memory at a time."""


def score(learner: Learner, scorer: Scorer, view: TargetView, *, last: bool) -> pa.Table:
    """A row an image and part: test images, held-out normal ones, proxy anomalies, the learner's own where it has some.

    scorer: of the learner, or itself. last: whether the schedule ends here; the out sets, which are large, and the
    images that thresholds rest on are scored then only. Of a detector of groups these are the proxies alone (see
    `score_groups`).
    """
    scores: dict[str, Scores] = {}
    if not isinstance(scorer, GroupDetector):
        scores = {"test": scorer.score(view.tested), "val": scorer.score(view.val)}
    if isinstance(learner, Contrasting):
        scores |= learner.contrast()
    else:
        scores["cut_and_paste/val"] = scorer.score(cut_and_pasted(view.val))
    if last and not isinstance(scorer, GroupDetector):
        scores |= {out_split(name): scorer.score(images) for name, images in view.out.items()}
        if view.calibration is not None:
            scores[CALIBRATION] = scorer.score(view.calibration)
        elif isinstance(learner, CrossScoring):
            scores[CALIBRATION] = learner.cross_scores(image_of_window(view.ids["train"]))
            view = replace(
                view,
                ids={**view.ids, CALIBRATION: view.ids["train"]},
                class_names={**view.class_names, CALIBRATION: view.class_names["train"]},
            )
    return join([score_rows(view, split, parts) for split, parts in scores.items()])


def pixel_metrics(scorers: Sequence[Localizing], view: TargetView) -> PixelMetrics | None:
    """How well maps of the test images agree with their masks; None without maps, or without masks.

    scorers: whose maps are averaged into the detector's. A few images' maps are in memory at a time.
    """
    if not scorers or view.masks is None or not len(view.masks):
        return None
    counts, rows = PixelCounts(), max(1, PIXELS // view.masks[0].numel())
    for images, masks in zip(view.tested.split(rows), view.masks.split(rows), strict=True):
        for pixel_map, mask in zip(mean_maps(scorers, images), masks.cpu().numpy(), strict=True):
            counts.add(pixel_map, mask)
    return counts.metrics()


def mean_maps(scorers: Sequence[Localizing], images: Tensor) -> NDArray[np.float32]:
    """The maps (N, H, W) of a detector: the mean of its parts' that have some. images: uint8 (N, C, H, W)."""
    return torch.stack([scorer.maps(images).float() for scorer in scorers]).mean(0).cpu().numpy()


def score_groups(detector: GroupDetector, view: TargetView, *, last: bool) -> pa.Table:
    """A row a group and part: groups of the normal test images, of the anomalous ones, of held-out images and, at
    last, of the out sets."""
    normal, others = (view.test_images(anomalous=anomalous) for anomalous in (False, True))
    anomalous = {"test": others} if len(others) else {}
    if last:
        anomalous |= {out_split(name): images for name, images in view.out.items()}
    return group_rows(view.target, detector.score_groups(view.val, normal, anomalous))
