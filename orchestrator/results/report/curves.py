"""Curves of an analysis, and scores of models against each other, as PNG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orchestrator.results.report.page import COLOURS
from orchestrator.results.report.plots import literal, png, tidy


def curve_plot(lines: Mapping[str, Sequence[tuple[float, float]]], title: str) -> bytes:
    """A PNG of named lines through (step, value), in one panel."""
    figure = Figure(figsize=(6.2, 3.4))
    axes = figure.add_subplot()
    for index, (name, points) in enumerate(lines.items()):
        x, y = zip(*points, strict=True) if points else ((), ())
        axes.plot(x, y, ".-", label=literal(name), color=COLOURS[index % len(COLOURS)], linewidth=1.7)
    axes.set_title(literal(title), fontsize=11)
    axes.set_xlabel("step", fontsize=11)
    tidy(axes, size=10)
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
            axes.set_xlabel(literal(names[j]), fontsize=9)
            axes.set_ylabel(literal(names[i]), fontsize=9)
            tidy(axes, size=8)
    figure.suptitle(literal(title), fontsize=11)
    figure.tight_layout()
    return png(figure, dpi=110)
