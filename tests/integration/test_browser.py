"""The report in a real browser: no error, nothing fetched, usable by keyboard and screen reader, light or dark."""

import shutil

import pytest

from orchestrator.results.run import conclude
from tests.helpers.sweeps import made_sweep

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")]

SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The address of a sweep's page: 48 trials of two classes."""
    paths, state = made_sweep(tmp_path_factory.mktemp("storage"), 48, ("cat", "<b>dog</b>"))
    conclude(paths, state)
    return f"file://{paths.report / 'report.html'}"


@pytest.fixture
def opened(browser, report):
    """Opens the report as somebody sees it; returns (page, what went wrong, what was fetched)."""
    contexts = []

    def show(**looks):
        context = browser.new_context(**looks)
        contexts.append(context)
        page, errors, fetched = context.new_page(), [], []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        page.goto(report)
        return page, errors, fetched

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_shown_without_errors_and_accessible(opened, report, scheme, width):
    page, errors, fetched = opened(color_scheme=scheme, viewport={"width": width, "height": 900})
    assert errors == []
    assert [url for url in fetched if not url.startswith("data:")] == [report]
    violations = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in violations if v["impact"] in SERIOUS] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # only tables and charts scroll sideways


def column(page, heading, place):
    """The texts of a column of the table in a section."""
    return page.locator(f"[aria-label='Table: {heading}'] tbody tr:visible td:nth-child({place})").all_inner_texts()


def test_a_table_is_sorted_and_filtered_by_the_keyboard_alone(opened):
    page, errors, _ = opened()
    page.get_by_role("button", name="blocks").first.focus()
    page.keyboard.press("Enter")
    heads = page.locator("[aria-label='Table: All trials'] th").all_inner_texts()
    place = next(number for number, text in enumerate(heads, 1) if text.startswith("blocks"))
    assert page.locator("[aria-sort=descending]").count() == 1
    shown = [int(text) for text in column(page, "All trials", place)]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == 48
    page.get_by_label("Filter rows, Table: All trials").focus()
    page.keyboard.type("stopped softmax")
    states = page.locator("[aria-label='Table: All trials'] tbody tr:visible").all_inner_texts()
    assert 0 < len(states) < 48
    assert all("stopped" in text and "softmax" in text for text in states)
    assert f"{len(states)} of 48 rows" in page.locator("output").all_inner_texts()
    assert errors == []


def test_charts_change_with_the_scheme_and_print_on_white(opened):
    page, _, _ = opened(color_scheme="light")
    tick = page.locator("svg text").first
    colour = "element => getComputedStyle(element).fill"
    light = tick.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert tick.evaluate(colour) != light
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    assert not page.locator(".filter").first.is_visible()
    page.get_by_text("<b>dog</b>").first.wait_for(state="attached")  # a name is shown and not obeyed
