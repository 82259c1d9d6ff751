"""Figures as SVG: text stays text, and on a page the colours are the page's, light or dark."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from typing import Any

from markupsafe import escape
from matplotlib import rc_context
from matplotlib.figure import Figure

INK, SOFT, LINE, GROUND = "#1c2128", "#59636e", "#d6dbe1", "#ffffff"
# Okabe and Ito's palette without yellow, which is too faint on white: told apart with any common colour blindness.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", INK)
OF_THE_PAGE = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    GROUND: "none",
    COLOURS[0]: "var(--measured)",
}
"""Colour of a figure -> what it is on a page."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "path.simplify_threshold": 0.5,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


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


def inlined(picture: bytes, name: str, caption: str) -> str:
    """An SVG file as an element of a page, in a box that scrolls where the page is narrower.

    name: of letters and digits, apart from the others' of the page: ids begin with it. caption: what a screen reader
    says.
    """
    text = picture.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in OF_THE_PAGE.items():
        text = text.replace(colour, variable)
    text = re.sub(r'^<svg\b([^>]*?) width="([\d.]+)pt" height="[\d.]+pt"', r'<svg\1 style="width: \2pt"', text)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1).strip()
    return f'<span class="chart" role="region" tabindex="0" aria-label="Chart {name}">{text}</span>'
