"""A report's plots: ROC curves and score histograms of the whole detector; of a sweep what each key does, what a trial
costs, and how it came to its end."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO, StringIO
from math import ceil
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from orchestrator.record.state import State
from orchestrator.results.report.captions import MOST_PLOTTED
from orchestrator.results.report.page import COLOURS, INK, LINE, SOFT
from orchestrator.results.sweep import Course, Sweep
from orchestrator.results.tables import LEAK
from workloads.scoring.effects import Effect, labels_of, ordered
from workloads.scoring.metrics import Rows, roc_curve

DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))  # a repeated colour gets another dash
NORMAL, ANOMALOUS = COLOURS[0], COLOURS[3]
BINS = 30
BLUE, GREY, ORANGE = COLOURS[0], SOFT, COLOURS[3]
BEST_SHARE = 0.1
"""Of the trials, the best by the criterion, that is drawn over the others."""
WIDTH, PANELS = 9.0, 4
"""Inches of a chart, and its panels in a row."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "path.simplify_threshold": 0.5,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


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
    """At most `MOST_PLOTTED` columns: of more, as many with the lowest AUROC as with the highest, in their order. Those
    whose AUROC is undefined are between them."""
    if len(contests) <= MOST_PLOTTED:
        return dict(contests)
    areas = {name: rows.auroc() for name, rows in contests.items()}
    undefined = [name for name, area in areas.items() if area is None]
    by_area = sorted((name for name in areas if name not in undefined), key=lambda name: areas[name] or 0.0)
    middle, half = len(by_area) // 2, MOST_PLOTTED // 2
    ranked = [*by_area[:middle], *undefined, *by_area[middle:]]
    chosen = {*ranked[:half], *ranked[-half:]}
    return {name: rows for name, rows in contests.items() if name in chosen}


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
        label = f"undefined  {literal(name)}" if value is None else f"{value:.3f}  {literal(name)}"
        fpr, tpr = (np.empty(0), np.empty(0)) if value is None else roc_curve(*rows)
        axes.plot(fpr, tpr, label=label, color=COLOURS[index % len(COLOURS)], linestyle=style, linewidth=1.7)
    axes.set_title(literal(title), fontsize=11)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel("false positive rate: normal images taken for anomalies", fontsize=11)
    axes.set_ylabel("true positive rate: anomalies found", fontsize=11)
    tidy(axes, size=10)
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
        axes.set_title(f"{literal(_short(name))}\nAUROC {area}", fontsize=10)
        tidy(axes, size=9)
        axes.locator_params(axis="x", nbins=3)  # long numbers of neighbouring panels must not meet
    for axes in grid.flat[len(by_class) :]:
        axes.set_visible(False)
    figure.supxlabel("anomaly score (the outermost bins also hold what lies beyond)", fontsize=11)
    figure.supylabel("share of images", fontsize=11)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    # The title heads the legend: a figure title and a legend outside would be drawn over each other.
    heading = {"title": literal(title), "title_fontsize": 12} if title else {}
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


def tidy(axes: Axes, size: int) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=size)
    axes.locator_params(axis="both", nbins=5)


def literal(name: str) -> str:
    """A class name is no formula: matplotlib typesets what stands between two dollar signs."""
    return name.replace("$", r"\$")


def _short(name: str) -> str:
    """Titles of neighbouring panels must not run into each other."""
    return name if len(name) <= 24 else f"{name[:23]}…"


@contextmanager
def styled() -> Iterator[None]:
    """Figures that are made and saved in this block look as those of a report do."""
    with rc_context(STYLE):
        yield


def svg(figure: Figure, **options: Any) -> bytes:
    """A file by itself. The same figure gives the same bytes."""
    stream = StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, **options)
    return stream.getvalue().encode()


def png(figure: Figure, **options: Any) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png", **options)
    return stream.getvalue()


def drawn_sweep(sweep: Sweep, names: Iterable[str]) -> dict[str, tuple[bytes, bytes]]:
    """File -> twice the SVG of the charts of these names: a file of its own, and a page's."""
    draw = {"parallel.svg": parallel, "effects.svg": effects, "cost.svg": cost, "curves.svg": curves}
    with styled():
        figures = {name: draw[name](sweep) for name in names}
        for figure in figures.values() if sweep.leak else ():
            figure.text(0, 1.02, f"{LEAK}: configuration chosen by test AUROC", fontsize=9)
        pictures = {name: svg(figure, bbox_inches="tight") for name, figure in figures.items()}
    return {name: (picture, picture) for name, picture in pictures.items()}


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
    _draw_lines(axes, lines[~(top | best)], GREY, 0.5, 0.35)
    _draw_lines(axes, lines[top & ~np.array(best)], BLUE, 0.9, 0.8)
    _draw_lines(axes, lines[best], ORANGE, 2.2, 1)
    axes.set(xlim=(-0.3, lines.shape[1] - 0.6), ylim=(-0.06, 1.06), yticks=[])
    labels = map(_few_words, [*sweep.axes, sweep.criterion, "test AUROC"])
    raised = [name + "\n" * (place % 2) for place, name in enumerate(labels)]  # neighbours must not meet
    axes.set_xticks(range(lines.shape[1]), raised, fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _scale(axes: Axes, place: int, ticks: Mapping[str, float]) -> None:
    """The vertical axis at a place, with the names of its ticks."""
    axes.axvline(place, color=LINE, linewidth=1, zorder=0)
    for label, height in ticks.items():
        axes.annotate(
            _few_words(label), (place, height), (4, 0), "data", "offset points", fontsize=8, va="center", zorder=5
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
    limit = np.nanquantile(values, 1 - BEST_SHARE) if np.isfinite(values).any() else np.inf
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
    grid[0, 0].set_ylim(*_range(sweep.effects))
    for axes in grid.flat[len(sweep.effects) :]:
        axes.set_visible(False)
    figure.supylabel(sweep.criterion, fontsize=9)
    return figure


def _range(effects: Sequence[Effect]) -> tuple[float, float]:
    """Ends of the scale: all means, and intervals of the usual length; that of two trials may be endless."""
    levels = [level for effect in effects for level in effect.levels]
    lengths = [level.interval[1] - level.interval[0] for level in levels if level.interval]
    low, high = _ends(np.array([level.mean for level in levels]))
    margin = max(float(np.median(lengths)) if lengths else 0.0, (high - low) / 5)
    return low - margin, high + margin


def _draw_effect(axes: Axes, effect: Effect) -> None:
    means = np.array([level.mean for level in effect.levels])
    ends = np.array([level.interval or (np.nan, np.nan) for level in effect.levels])
    reach = np.abs(ends - means[:, None]).T
    axes.errorbar(range(len(means)), means, reach, fmt="o", color=BLUE, markersize=4, capsize=3, linewidth=1.3)
    axes.set_xlim(-0.5, len(means) - 0.5)
    crowded = sum(len(_few_words(level.value)) for level in effect.levels) > 24
    turned: dict[str, Any] = {"rotation": 40, "ha": "right"} if crowded else {}
    axes.set_xticks(range(len(means)), [_few_words(level.value) for level in effect.levels], fontsize=8, **turned)
    axes.set_title(_few_words(effect.key), fontsize=9)
    _bare(axes)


def cost(sweep: Sweep) -> Figure:
    figure = Figure(figsize=(WIDTH * 0.75, 3.6))
    axes = figure.add_subplot()
    known = [course for course in sweep.courses if course.last[1] is not None and course.seconds > 0]
    ends = {State.FINISHED: "finished", State.STOPPED: "stopped early"}
    for end, marker in {"finished": "o", "stopped early": "^", "failed or interrupted": "x"}.items():
        points = [c for c in known if ends.get(c.state, "failed or interrupted") == end and c.id != sweep.best]
        x, y = [c.seconds for c in points], [c.last[1] or 0.0 for c in points]
        colour = BLUE if end == "finished" else GREY
        axes.plot(x, y, marker, color=colour, markersize=4, alpha=0.7, label=f"{end} ({len(x)})")
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
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    _bare(axes)
    return figure


def curves(sweep: Sweep) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    titles, thin = (sweep.criterion, "mean test AUROC"), 0.7 if len(sweep.courses) < 100 else 0.3
    for place, (axes, title) in enumerate(zip(figure.subplots(1, 2), titles, strict=True)):
        for chosen, colour, width, alpha in ((False, GREY, thin, 0.5), (True, ORANGE, 2.0, 1.0)):
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
        _bare(axes)
    return figure


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _few_words(name: str) -> str:
    """Names of neighbours must not run into each other."""
    return literal(name if len(name) <= 16 else f"{name[:15]}…")
