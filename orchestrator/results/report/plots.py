"""ROC curves and score histograms of the whole detector, one target each; curves and correlations of others."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orchestrator.results.report.captions import MOST
from orchestrator.results.report.svg import COLOURS, LINE, png, styled, svg
from workloads.scoring.metrics import Rows, roc_curve

DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))  # a repeated colour gets another dash
NORMAL, ANOMALOUS = COLOURS[0], COLOURS[3]
BINS = 30


def drawn(contests: Mapping[str, Rows], title: str, unit: str) -> dict[str, tuple[bytes, bytes]]:
    """File name -> a report's plot as PNG and as SVG, see `roc_plot`. Of many columns `few` are drawn."""
    shown = few(contests)
    with styled():
        roc, histogram = roc_plot(shown, title, unit), histogram_plot(shown, title)
        return {
            "roc.png": (png(roc, dpi=130, bbox_inches="tight"), svg(roc, bbox_inches="tight")),
            "scores.png": (png(histogram, dpi=130), svg(histogram)),
        }


def few(contests: Mapping[str, Rows]) -> dict[str, Rows]:
    """At most `MOST` columns: of more, as many with the lowest AUROC as with the highest, in their order."""
    if len(contests) <= MOST:
        return dict(contests)
    areas = {name: rows.auroc() for name, rows in contests.items()}
    by_area = sorted((name for name, area in areas.items() if area is not None), key=lambda name: areas[name] or 0.0)
    chosen = {*by_area[: MOST // 2], *by_area[-MOST // 2 :]}
    return {name: rows for name, rows in contests.items() if name in chosen}


def curve_plot(lines: Mapping[str, Sequence[tuple[float, float]]], title: str) -> bytes:
    """A PNG of named lines through (step, value), in one panel."""
    figure = Figure(figsize=(6.2, 3.4))
    axes = figure.add_subplot()
    for index, (name, points) in enumerate(lines.items()):
        x, y = zip(*points, strict=True) if points else ((), ())
        axes.plot(x, y, ".-", label=_literal(name), color=COLOURS[index % len(COLOURS)], linewidth=1.7)
    axes.set_title(_literal(title), fontsize=11)
    axes.set_xlabel("step", fontsize=11)
    _tidy(axes, size=10)
    axes.locator_params(axis="x", integer=True)  # there is no half step
    axes.legend(fontsize=10, frameon=False, handlelength=2.8)
    return png(figure, dpi=110, bbox_inches="tight")


def correlation_plot(
    names: Sequence[str], scores: Sequence[Mapping[Any, float]], correlations: NDArray[np.float64], title: str
) -> bytes:
    """A PNG of panels, one a pair of models: their scores of the images that both have, with Spearman's rho.

    scores: of each model, by image. correlations: (M, M), nan where undefined.
    """
    size = max(len(names) - 1, 1)
    figure = Figure(figsize=(2.9 * size + 0.6, 2.9 * size + 0.6))
    for i in range(len(names)):
        for j in range(i):
            axes = figure.add_subplot(size, size, (i - 1) * size + j + 1)
            both = sorted(scores[i].keys() & scores[j].keys())
            axes.plot([scores[j][k] for k in both], [scores[i][k] for k in both], ".", color=COLOURS[0], markersize=2)
            rho = "undefined" if np.isnan(correlations[i, j]) else f"{correlations[i, j]:.3f}"
            axes.set_title(f"rank correlation {rho}", fontsize=9)
            axes.set_xlabel(_literal(names[j]), fontsize=9)
            axes.set_ylabel(_literal(names[i]), fontsize=9)
            _tidy(axes, size=8)
    figure.suptitle(_literal(title), fontsize=11)
    figure.tight_layout()
    return png(figure, dpi=110)


def roc_plot(contests: Mapping[str, Rows], title: str = "", unit: str = "normal class") -> Figure:
    """One panel, one curve a class, the AUROC in the legend; undefined for a class that lacks either kind.

    contests: what every column's AUROC is over. title: a line above, such as a warning that must stay with the picture.
    unit: what the columns are. Raises ValueError if there is no score.
    """
    by_class = _with_images(contests)
    figure = Figure(figsize=(6.2, 6.2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, zorder=0)
    for index, (name, rows) in enumerate(by_class.items()):
        value = rows.auroc()
        style = DASHES[index // len(COLOURS) % len(DASHES)]
        label = f"undefined  {_literal(name)}" if value is None else f"{value:.3f}  {_literal(name)}"
        fpr, tpr = (np.empty(0), np.empty(0)) if value is None else roc_curve(*rows)
        axes.plot(fpr, tpr, label=label, color=COLOURS[index % len(COLOURS)], linestyle=style, linewidth=1.7)
    axes.set_title(_literal(title), fontsize=11)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel("false positive rate: normal images taken for anomalies", fontsize=11)
    axes.set_ylabel("true positive rate: anomalies found", fontsize=11)
    _tidy(axes, size=10)
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        title=f"AUROC, {unit}",
        alignment="left",
        ncols=ceil(len(by_class) / 20),
        fontsize=10,
        frameon=False,
        handlelength=2.8,
    )
    return figure  # saved with a tight box it grows to hold the legend, however long the names


def histogram_plot(contests: Mapping[str, Rows], title: str = "") -> Figure:
    """Small multiples, one a class: shares of normal and of anomalous test images in common score bins.

    Shares, because a one-class test set holds many more anomalies than normals. Scores beyond the 0.1 % at either end,
    infinite ones too, are counted in the outermost bins. Arguments and errors as in `roc_plot`.
    """
    by_class = _with_images(contests)
    edges = _edges(np.concatenate([rows.scores for rows in by_class.values()]))
    columns = min(5, len(by_class))
    lines = ceil(len(by_class) / columns)
    figure = Figure(figsize=(max(2.4 * columns, 5.2) + 0.5, 2.1 * lines + 1.0), layout="constrained")
    # panels have one scale by hand: matplotlib's sharing asks every panel at every stroke in any of them
    grid = figure.subplots(lines, columns, squeeze=False)
    shares = {
        name: (_shares(s[~anomalous], edges), _shares(s[anomalous], edges)) for name, (s, anomalous) in by_class.items()
    }
    highest = max(float(share.max()) for both in shares.values() for share in both)
    margin = 0.05 * (edges[-1] - edges[0])
    for number, (axes, (name, both)) in enumerate(zip(grid.flat, shares.items(), strict=False)):
        for share, colour, label in zip(both, (NORMAL, ANOMALOUS), ("normal", "anomalous"), strict=True):
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.35, label=label)
            axes.stairs(share, edges, color=colour, linewidth=1.3)
        axes.set(xlim=(edges[0] - margin, edges[-1] + margin), ylim=(0, 1.05 * highest))
        # the last panel of a column may stand above an empty place
        axes.tick_params(labelbottom=number + columns >= len(by_class), labelleft=number % columns == 0)
        value = by_class[name].auroc()
        area = "undefined" if value is None else f"{value:.3f}"
        axes.set_title(f"{_literal(_short(name))}\nAUROC {area}", fontsize=10)
        _tidy(axes, size=9)
        axes.locator_params(axis="x", nbins=3)  # long numbers of neighbouring panels must not meet
    for axes in grid.flat[len(by_class) :]:
        axes.set_visible(False)
    figure.supxlabel("anomaly score (the outermost bins also hold what lies beyond)", fontsize=11)
    figure.supylabel("share of images", fontsize=11)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    # The title heads the legend: a figure title and a legend outside would be drawn over each other.
    heading = {"title": _literal(title), "title_fontsize": 12} if title else {}
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=11, frameon=False, **heading)
    return figure


def _shares(scores: NDArray, edges: NDArray) -> NDArray:
    """(BINS,) of the scores."""
    return np.histogram(np.clip(scores, edges[0], edges[-1]), edges)[0] / max(1, len(scores))


def _edges(scores: NDArray) -> NDArray:
    finite = scores[np.isfinite(scores)]
    low, high = np.quantile(finite, [0.001, 0.999]) if len(finite) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _with_images(contests: Mapping[str, Rows]) -> dict[str, Rows]:
    by_class = {name: rows for name, rows in contests.items() if len(rows.scores)}
    if not by_class:
        raise ValueError("no test rows to plot")
    return by_class


def _tidy(axes: Axes, size: int) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=size)
    axes.locator_params(axis="both", nbins=5)


def _literal(name: str) -> str:
    """A class name is no formula: matplotlib typesets what stands between two dollar signs."""
    return name.replace("$", r"\$")


def _short(name: str) -> str:
    """Titles of neighbouring panels must not run into each other."""
    return name if len(name) <= 24 else f"{name[:23]}…"
