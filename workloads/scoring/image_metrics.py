"""What is reported of image scores beside their AUROC: average precision, best F1, false positives at 95 % recall.

Higher score = more anomalous; the anomaly is the positive class; equal scores are called anomalous together.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from workloads.scoring.metrics import contests, mean, roc_curve

RECALL = 0.95
"""The share of the anomalies that `fpr95` calls anomalous."""


class ImageMetrics(NamedTuple):
    """All in [0, 1].

    average_precision: the mean of the precision over the anomalies, in the order of their scores (scikit-learn's
    `average_precision_score`: no interpolation). best_f1: the largest F1 of any threshold; that threshold is chosen by
    the test labels, so no threshold that is set without them reaches more. fpr95: the share of the normal images above
    the highest threshold that calls 95 % of the anomalies anomalous; lower is better.
    """

    average_precision: float
    best_f1: float
    fpr95: float


def image_metrics(scores: ArrayLike, anomalous: ArrayLike) -> ImageMetrics:
    """Of scores (N,) and which of them are of anomalies, (N,). Raises ValueError as `metrics.roc_curve`, also where a
    class is absent."""
    false_rate, recall = roc_curve(scores, anomalous)
    labels = np.asarray(anomalous)
    anomalies = np.count_nonzero(labels)
    true, false = np.rint(recall * anomalies), np.rint(false_rate * (len(labels) - anomalies))
    called = (true + false)[1:]
    return ImageMetrics(
        average_precision=float(np.diff(true) @ (true[1:] / called) / anomalies),
        best_f1=float((2 * true[1:] / (called + anomalies)).max()),
        fpr95=float(false_rate[np.argmax(recall >= RECALL)]),
    )


def image_numbers(table: pa.Table, *, pooled: bool = False) -> dict[str, float | None]:
    """The whole detectors' `ImageMetrics` by the names that MLflow shows them by; None where undefined.

    Such a name is that of the AUROC over the same images with the metric's in place of ``auroc``:
    ``average_precision/TARGET``, ``average_precision_out/SET/TARGET``, and ``mean`` in place of a target. What could
    not be scored ranks above all scores, as for the AUROC. pooled: whether a whole dataset is normal, so that the mean
    is over its out sets. table: with the columns of `workloads.scoring.table.SCHEMA`; raises as `per_class_auroc`.
    """
    known = {
        name.removeprefix("auroc"): None if rows.auroc() is None else image_metrics(rows.scores, rows.anomalous)
        for name, rows in contests(table).items()
    }
    return {
        f"{metric}{rest}": value
        for metric in ImageMetrics._fields
        for rest, value in _with_means({k: v and getattr(v, metric) for k, v in known.items()}, pooled).items()
    }


def _with_means(values: dict[str, float | None], pooled: bool) -> dict[str, float | None]:
    """Values by ``/TARGET`` and ``_out/SET/TARGET`` with the means beside them."""
    sets = dict.fromkeys(rest.split("/")[1] for rest in values if rest.startswith("_out/"))
    of_sets = {f"_out/{name}/mean": mean(_below(values, f"_out/{name}/")) for name in sets}
    if sets:
        of_sets["_out/mean"] = mean(of_sets.values())
    return {**values, "/mean": of_sets.get("_out/mean") if pooled else mean(_below(values, "/")), **of_sets}


def _below(values: dict[str, float | None], prefix: str) -> Iterable[float | None]:
    return [value for rest, value in values.items() if rest.startswith(prefix)]
