"""One HTML page of a report, made from its Markdown: every picture is inside, and nothing is fetched from anywhere."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise, takewhile
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from orchestrator.results.report.templates import TEMPLATES
from orchestrator.results.tables import KINDS, LEAK

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
LONG = 40
"""Rows of a table that scrolls in a height of its own."""
FACT = re.compile(r"\*\*[^*]+\*\*: ")


def page(title: str, markdown: str, pictures: Mapping[str, bytes]) -> str:
    """A whole HTML document that says what the Markdown says, with a table of contents.

    markdown: of a report. Names in it are a user's: HTML in them is shown, not obeyed, and links are text.
    pictures: address in the Markdown -> PNG, or SVG of a figure of `svg`. One that is not here is shown as its caption.
    Rows of a table carry their kind as a class ("measured", "baseline", "published"), leaks the class "leak".
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "autolink", "reference"])
    tokens = parser.parse(markdown)
    contents = _anchored(tokens)
    for token in tokens:
        if token.children:
            token.children = [_shown(child, pictures) for child in token.children]
            _mark_leaks(token.children)
    _define_facts(tokens)
    body = parser.renderer.render(_with_kinds(_boxed(tokens)), parser.options, {})
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    return TEMPLATES.get_template("page.html.jinja").render(
        title=title,
        contents=contents,
        body=Markup(body),  # noqa: S704 - what is a user's has been escaped by the parser
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_digest=b64encode(sha256(script.encode()).digest()).decode(),
    )


def _anchored(tokens: Sequence[Token]) -> dict[str, str]:
    """Gives every section's heading an id. Returns id -> heading, in order."""
    contents = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag == "h2":
            anchor = re.sub(r"\W+", "-", inline.content.lower()).strip("-")
            opening.attrSet("id", anchor)
            contents[anchor] = inline.content
    return contents


def _shown(token: Token, pictures: Mapping[str, bytes]) -> Token:
    """An image's address is replaced by its bytes."""
    if token.type != "image":
        return token
    address = unquote(str(token.attrs["src"]))
    data = pictures.get(address)
    if data is None:
        return Token("text", "", 0, content=f"{token.content} (no such picture)")
    if data.startswith(b"<?xml"):
        return Token("html_inline", "", 0, content=inlined(data, re.sub(r"\W", "", address), token.content))
    token.attrs["src"] = f"data:image/png;base64,{b64encode(data).decode()}"
    return token


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


def _mark_leaks(inline: Sequence[Token]) -> None:
    for opening, text in pairwise(inline):
        if opening.type == "strong_open" and text.content == LEAK:
            opening.attrSet("class", "leak")


def _define_facts(tokens: Sequence[Token]) -> None:
    """Lists of nothing but "**name**: value" become definition lists."""
    openings: list[int] = []
    for index, token in enumerate(tokens):
        if token.type == "bullet_list_open":
            openings.append(index)
        if token.type == "bullet_list_close":
            listed = tokens[openings.pop() : index + 1]
            inlines = [part for part in listed if part.type == "inline"]
            if all(FACT.match(inline.content) for inline in inlines):
                for inline in inlines:
                    _define(inline)
                for part in listed:
                    part.tag = {"ul": "dl", "li": "div"}.get(part.tag, part.tag)


def _define(inline: Token) -> None:
    """Name and value of a fact as a term and its definition."""
    children = inline.children or []
    end = next(i for i, child in enumerate(children) if child.type == "strong_close")
    term, value = children[: end + 1], children[end + 1 :]
    for child in term:
        child.tag = child.tag.replace("strong", "dt")
    value[0].content = value[0].content.removeprefix(": ")
    inline.children = [*term, Token("dd_open", "dd", 1), *value, Token("dd_close", "dd", -1)]


def _with_kinds(tokens: Iterable[Token]) -> list[Token]:
    """A table body of its own for every kind of number, below a row with its name."""
    out: list[Token] = []
    rest = iter(tokens)
    for token in rest:
        if token.type == "tr_open":
            row = [token, *takewhile(lambda t: t.type != "tr_close", rest), Token("tr_close", "tr", -1)]
            cells = [t for t in row if t.type == "inline"]
            name = cells[0].content.strip("*")
            if name in KINDS.values() and not any(cell.content for cell in cells[1:]):
                _open_body(out, name.split()[0])
                spanning = Token("th_open", "th", 1, {"colspan": len(cells), "scope": "rowgroup"})
                row = [Token("tr_open", "tr", 1, {"class": "kind"}), spanning, cells[0], Token("th_close", "th", -1)]
                row.append(Token("tr_close", "tr", -1))
            elif cells[0].content.endswith(f"(**{LEAK}**)"):
                token.attrSet("class", "leak")
            out += row
            continue
        out.append(token)
    return out


def _boxed(tokens: Sequence[Token]) -> Iterator[Token]:
    """Tables in boxes that scroll, also by keys, and are named by their section; a long one in a height of its own."""
    section, opening = "", Token("div_open", "div", 1)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            section = tokens[place + 1].content
        if token.type == "table_open":
            table = takewhile(lambda t: t.type != "table_close", tokens[place:])
            kind = "wide long" if sum(part.type == "tr_open" for part in table) > LONG else "wide"
            name = {"role": "region", "tabindex": "0", "aria-label": f"Table: {section}"}
            yield replace(opening, attrs={"class": kind, **name})
        yield token
        if token.type == "table_close":
            yield Token("div_close", "div", -1)


def _open_body(out: list[Token], kind: str) -> None:
    """The table body that has just been opened becomes that of the kind, or a next one is."""
    if out[-1].type != "tbody_open":
        out += [Token("tbody_close", "tbody", -1), Token("tbody_open", "tbody", 1)]
    out[-1].attrSet("class", kind)
