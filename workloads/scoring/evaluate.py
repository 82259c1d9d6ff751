"""A detector's scores of one target as rows of the score table."""

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from workloads.data.images import CALIBRATION, image_of_window, out_split
from workloads.data.view import TargetView
from workloads.learner import Contrasting, CrossScoring, GroupDetector, Learner, Scorer, Scores
from workloads.scoring.proxies import cut_and_pasted
from workloads.scoring.table import group_rows, join, score_rows, with_other_windows


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
            scores[CALIBRATION] = learner.cross_scores()
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


def score_groups(detector: GroupDetector, view: TargetView, *, last: bool) -> pa.Table:
    """A row a group and part: groups of the normal test images, of the anomalous ones, of held-out images and, at
    last, of the out sets."""
    normal, others = (view.test_images(anomalous=anomalous) for anomalous in (False, True))
    anomalous = {"test": others} if len(others) else {}
    if last:
        anomalous |= {out_split(name): images for name, images in view.out.items()}
    return group_rows(view.target, detector.score_groups(view.val, normal, anomalous))
