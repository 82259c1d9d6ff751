"""MLflow's own pages of a real small run, in a real browser, opened by the verb `ui`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
from tune_spaces.schema import Data, Space

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")]

THEIRS = ("users/current", "404 (NOT FOUND)", "404 (Not Found)", "ResizeObserver")
"""What MLflow's pages complain of by themselves: they look for a login that a server without accounts has not."""
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    space = Space(
        workload="examples.own_method:Gaussian",
        data=Data(name="digits", classes=("3", "8")),
        axes={"components": (4, 16, 32)},
    )
    return orchestrator.launch(space, storage=tmp_path_factory.mktemp("storage"), name="small", executor="local")


@pytest.fixture(scope="module")
def pages(run):
    """What `ui RUN --json` prints, while it serves."""
    words = [sys.executable, "-m", "orchestrator", "ui", run.name, "--storage", run.storage, "--json"]
    environ = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, "Ctrl-C is how it ends"


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page and waits for texts in it; returns (page, its errors). A screenshot lies in `tmp_path`, or in the
    folder that PICTURES names."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page, errors = context.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))

    def show(link, name, *texts):
        page.goto(link)
        for text in texts:
            page.get_by_text(text).first.wait_for(timeout=PATIENCE_MS)
        page.screenshot(path=Path(os.environ.get("PICTURES", tmp_path)) / f"{name}.png")
        return page, [error for error in errors if not any(words in error for words in THEIRS)]

    yield show
    context.close()


def of(pages):
    (run,) = pages["runs"]
    return run


def test_the_verb_prints_links_of_the_run_alone(pages, run):
    assert pages["address"].startswith("http://127.0.0.1:")
    assert of(pages)["name"].endswith(f"· {run.name}")


def test_the_table_of_runs_shows_names_data_and_the_trials_below(opened, pages, run):
    page, errors = opened(of(pages)["table"], "table", "digits at")
    page.locator(".ag-row button").first.click()  # the parent's own: it opens the trials
    for number in (1, 2, 3):
        page.get_by_text(f"#{number} components").first.wait_for(timeout=PATIENCE_MS)
    assert errors == []


def test_trials_are_compared_by_parallel_coordinates_under_their_names(opened, pages, run):
    names = [f"#{number} components" for number in (1, 2, 3)]
    page, errors = opened(of(pages)["comparison"], "compare", "Comparing 3 Runs from 1 Experiment", *names)
    chart = page.locator(".js-plotly-plot, .parcoords").first
    chart.wait_for(timeout=PATIENCE_MS)
    assert page.get_by_text("auroc/mean").first.is_visible()
    assert errors == []


def test_the_parents_page_shows_what_was_done(opened, pages, run):
    page, errors = opened(of(pages)["page"], "parent", of(pages)["name"], "#1 components", "digits at")
    link = page.locator("a", has_text="all trials beside each other")
    assert link.get_attribute("href").endswith("workflowType=machine_learning")
    assert page.locator("td", has_text="5-NN").count(), "the table is in the description"
    assert errors == []
