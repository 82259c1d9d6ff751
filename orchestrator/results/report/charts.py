"""Charts of a sweep: what each key does, what a trial costs, and how it came to its end."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from orchestrator.record.state import State
from orchestrator.results.report.captions import captions
from orchestrator.results.report.svg import COLOURS, LINE, SOFT, styled, svg
from orchestrator.results.sweep import Course, Effect, Sweep, labels_of, ordered

BLUE, ORANGE, TAIL = COLOURS[0], COLOURS[3], 0.1
"""TAIL: the share of trials, the best by the criterion, that is drawn over the others."""
WIDTH = 9.0  # inches
PANELS = 4  # in a row


def drawn_sweep(sweep: Sweep) -> dict[str, bytes]:
    """File -> SVG of the charts that `captions` names."""
    draw = {"parallel.svg": parallel, "effects.svg": effects, "cost.svg": cost, "curves.svg": curves}
    with styled():
        return {name: svg(draw[name](sweep), bbox_inches="tight") for name in captions(sweep)}


def parallel(sweep: Sweep) -> Figure:
    """Parallel coordinates: an axis a key in the order of its values, then the criterion and the AUROC to scale."""
    courses = [course for course in sweep.courses if course.rungs]
    figure = Figure(figsize=(max(WIDTH, 1.3 * (len(sweep.axes) + 2)), 3.8))
    axes = figure.add_subplot()
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, len(courses)) if len(courses) > 30 else 0.0
    columns = []
    for place, name in enumerate(sweep.axes):
        values = [course.point[name] for course in courses]
        names = ordered(values)
        spots = np.linspace(0, 1, len(names)) if len(names) > 1 else np.array([0.5])
        columns.append(np.array([spots[names.index(label)] for label in labels_of(values)]) + jitter)
        _scale(axes, place, dict(zip(names, spots, strict=True)))
    for place in (0, 1):
        numbers = np.array([course.last[place] for course in courses], float)
        low, high = _ends(numbers)
        columns.append((numbers - low) / (high - low))
        ticks = {f"{low + share * (high - low):.3f}".removeprefix("0"): share for share in (0, 0.5, 1)}
        _scale(axes, len(sweep.axes) + place, ticks)
    lines = np.column_stack(columns)
    best = [course.id == sweep.best for course in courses]
    top = _top(sweep, courses)
    _draw_lines(axes, lines[~(top | best)], SOFT, 0.5, 0.35)
    _draw_lines(axes, lines[top & ~np.array(best)], BLUE, 0.9, 0.8)
    _draw_lines(axes, lines[best], ORANGE, 2.2, 1)
    axes.set(xlim=(-0.3, lines.shape[1] - 0.6), ylim=(-0.06, 1.06), yticks=[])
    axes.set_xticks(range(lines.shape[1]), [*sweep.axes, sweep.criterion, "test AUROC"], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _scale(axes: Axes, place: int, ticks: Mapping[str, float]) -> None:
    """The vertical axis at a place, with the names of its ticks."""
    axes.axvline(place, color=LINE, linewidth=1, zorder=0)
    for label, height in ticks.items():
        axes.annotate(
            _short(label), (place, height), (4, 0), "data", "offset points", fontsize=8, va="center", zorder=5
        )


def _draw_lines(axes: Axes, lines: NDArray[np.float64], colour: str, width: float, alpha: float) -> None:
    """Rows of heights, (T, A), as one path: thousands of elements would make the page slow."""
    count, places = lines.shape
    if not count:
        return
    x = np.tile(np.append(np.arange(places, dtype=float), np.nan), count)
    y = np.column_stack([lines, np.full(count, np.nan)]).ravel()
    axes.plot(x, y, color=colour, linewidth=width, alpha=alpha, solid_joinstyle="round")


def _top(sweep: Sweep, courses: Sequence[Course]) -> NDArray[np.bool_]:
    """(T,) whether a trial is of the best tenth by the criterion, at the end of the schedule."""
    values = np.array([course.last[0] if 1000 in course.rungs else None for course in courses], float)
    values = values if sweep.higher else -values
    limit = np.nanquantile(values, 1 - TAIL) if np.isfinite(values).any() else np.inf
    return np.nan_to_num(values, nan=-np.inf) >= limit


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the largest number, apart from each other."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def effects(sweep: Sweep) -> Figure:
    """A panel a key, all with one scale."""
    lines = -(-len(sweep.effects) // PANELS)
    figure = Figure(figsize=(WIDTH, 2.3 * lines + 0.3), layout="constrained")
    grid = figure.subplots(lines, min(PANELS, len(sweep.effects)), squeeze=False, sharey=True)
    for axes, effect in zip(grid.flat, sweep.effects, strict=False):
        _draw_effect(axes, effect)
    for axes in grid.flat[len(sweep.effects) :]:
        axes.set_visible(False)
    figure.supylabel(sweep.criterion, fontsize=9)
    return figure


def _draw_effect(axes: Axes, effect: Effect) -> None:
    means = np.array([level.mean for level in effect.levels])
    ends = np.array([level.interval or (np.nan, np.nan) for level in effect.levels])
    reach = np.abs(ends - means[:, None]).T
    axes.errorbar(range(len(means)), means, reach, fmt="o", color=BLUE, markersize=4, capsize=3, linewidth=1.3)
    axes.set_xlim(-0.5, len(means) - 0.5)
    crowded = sum(len(_short(level.value)) for level in effect.levels) > 24
    turned: dict[str, Any] = {"rotation": 40, "ha": "right"} if crowded else {}
    axes.set_xticks(range(len(means)), [_short(level.value) for level in effect.levels], fontsize=8, **turned)
    axes.set_title(_short(effect.key), fontsize=9)
    _plain(axes)


def cost(sweep: Sweep) -> Figure:
    figure = Figure(figsize=(WIDTH * 0.75, 3.6))
    axes = figure.add_subplot()
    known = [course for course in sweep.courses if course.last[1] is not None and course.seconds > 0]
    for marker, stopped in (("o", False), ("^", True)):
        points = [c for c in known if (c.state == State.STOPPED) == stopped and c.id != sweep.best]
        x, y = [c.seconds for c in points], _numbers([c.last[1] for c in points])
        label = "stopped early" if stopped else "finished"
        axes.plot(x, y, marker, color=SOFT if stopped else BLUE, markersize=4, alpha=0.7, label=f"{label} ({len(x)})")
    winner = [(c.seconds, c.last[1] or 0.0) for c in known if c.id == sweep.best]
    axes.plot([x for x, _ in winner], [y for _, y in winner], "o", color=ORANGE, markersize=8, label="winner")
    seconds = [c.seconds for c in known]
    if seconds and max(seconds) > 5 * min(seconds):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("seconds of training and scoring", fontsize=9)
    axes.set_ylabel("mean test AUROC", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    _plain(axes)
    return figure


def curves(sweep: Sweep) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    titles, thin = (sweep.criterion, "mean test AUROC"), 0.7 if len(sweep.courses) < 100 else 0.3
    for place, (axes, title) in enumerate(zip(figure.subplots(1, 2), titles, strict=True)):
        for chosen, colour, width, alpha in ((False, SOFT, thin, 0.5), (True, ORANGE, 2.0, 1.0)):
            x: list[float] = []
            y: list[float | None] = []
            for course in (c for c in sweep.courses if (c.id == sweep.best) == chosen):
                x += [rung / 10 for rung in course.rungs] + [np.nan]
                y += [*(pair[place] for pair in course.rungs.values()), None]
            axes.plot(
                x,
                y,
                ".-" if chosen or len(sweep.courses) <= 30 else "-",
                color=colour,
                linewidth=width,
                alpha=alpha,
                markersize=4,
            )
        axes.set_xlabel("% of the schedule", fontsize=9)
        axes.set_title(title, fontsize=9)
        _plain(axes)
    return figure


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    """(N,), NaN where undefined."""
    return np.array(values, float)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _short(name: str) -> str:
    """Names of neighbours must not run into each other; two dollar signs typeset no formula."""
    return (name if len(name) <= 16 else f"{name[:15]}…").replace("$", r"\$")
