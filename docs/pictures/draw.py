"""Draws the picture of the docs: `python docs/pictures/draw.py` writes way.svg beside itself."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

FOLDER = Path(__file__).parent
INK, PALE, BLUE, GREEN, SAND = "#1f2933", "#f4f6f8", "#d9e8f6", "#dff0e0", "#f8ecd4"
Box = tuple[float, float, float, float]


def canvas(width: float, height: float) -> Any:
    """Axes of `width` x `height` units of a hundredth of an inch, on white, y downwards."""
    figure = plt.figure(figsize=(width / 100, height / 100), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return axes


def box(axes: Any, place: Box, title: str, lines: str = "", colour: str = PALE) -> None:
    """A box at (x, y, width, height) with a bold title and smaller lines below it."""
    x, y, width, height = place
    style = "round,pad=0,rounding_size=8"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor=INK, linewidth=1))
    top = y + (16 if lines else height / 2)
    axes.text(x + width / 2, top, title, ha="center", va="center", fontsize=11, fontweight="bold", color=INK)
    if lines:
        axes.text(x + width / 2, y + 30, lines, ha="center", va="top", fontsize=8, color=INK, linespacing=1.35)


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], text: str = "", bend: float = 0) -> None:
    """An arrow, with a word beside its middle."""
    line = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=13, color=INK, linewidth=1.2, connectionstyle=f"arc3,rad={bend}"
    )
    axes.add_patch(line)
    if text:
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 7)
        axes.text(*middle, text, ha="center", va="bottom", fontsize=8.5, color=INK, style="italic")


def way() -> None:
    """From a space to a report, and to anyone's images."""
    axes = canvas(900, 310)
    box(axes, (15, 25, 150, 92), "Space", "what is normal, method,\nkeys and axes,\nscheduler, seed", BLUE)
    box(axes, (205, 25, 150, 92), "Plan", "trials, shared stages,\nids by content,\ncost and capacity", BLUE)
    box(axes, (395, 12, 255, 118), "Executor", "in this process, or Ray on any machines", SAND)
    for number, work in enumerate(("stages,\nonce for all", "trials, rung\nby rung", "baselines,\nanalyses")):
        box(axes, (405 + number * 80, 62, 75, 58), "", "", "white")
        axes.text(442 + number * 80, 91, work, ha="center", va="center", fontsize=8, color=INK)
    box(
        axes,
        (690, 25, 195, 92),
        "Record",
        "a ledger with checksums,\nper-image scores (Parquet),\nweights (safetensors)",
        GREEN,
    )
    results = "the winner, no test label seen;\nAUROC of every class;\none HTML page; MLflow"
    box(axes, (690, 200, 195, 92), "Results", results, GREEN)
    detector = "the winner on your own images:\nscores, the most anomalous first,\nmaps of where"
    box(axes, (395, 200, 255, 92), "Detector", detector, SAND)
    again = """resume reads the record and plans what is missing:
nothing finished is repeated, and the numbers are
those of a run that nothing has disturbed"""
    box(axes, (15, 200, 340, 92), "After Ctrl-C, a crash or a reboot", again)
    arrow(axes, (165, 71), (205, 71))
    arrow(axes, (355, 71), (395, 71))
    arrow(axes, (650, 71), (690, 71))
    arrow(axes, (810, 117), (810, 200))
    arrow(axes, (690, 246), (650, 246))
    axes.plot((730, 730, 320), (117, 163, 163), color=INK, linewidth=1.2)
    arrow(axes, (320, 162), (320, 200))
    arrow(axes, (250, 200), (250, 117))
    axes.figure.savefig(FOLDER / "way.svg", metadata={"Date": None})


if __name__ == "__main__":
    plt.rcParams |= {"svg.hashsalt": "docs", "font.family": "DejaVu Sans"}
    way()
