"""Photographs a finished run for README and docs: `python docs/pictures/pages.py STORAGE RUN` writes WebP files
beside itself. The run needs its analysis `examples`. It needs playwright and Debian's chromium, as the tests do."""

import json
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent
SIZE = {"width": 1100, "height": 760}
SCALE = 1.5
PATIENCE_MS = 120_000
WITHOUT, WITH = ("Dataset", "Source", "Models"), ("auroc/mean", "contrastive", "batch_size", "noise")
"""Columns of MLflow's table that go, and those that come."""


def keep(picture: bytes, name: str) -> None:
    """A WebP file, small enough for a README."""
    Image.open(BytesIO(picture)).save(FOLDER / f"{name}.webp", quality=80, method=6)


def section(page: Page, heading: str, name: str) -> None:
    """The report from a heading on, as much as fits a picture."""
    head = page.get_by_role("heading", name=heading).first
    head.evaluate("element => element.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(300)
    keep(page.screenshot(), name)


def table(page: Page, link: str) -> None:
    """MLflow's table of runs with the trials of the newest one and what matters of them."""
    page.goto(link)
    page.locator(".ag-row button").first.click(timeout=PATIENCE_MS)
    for name in ("Close", "Columns"):
        page.get_by_role("button", name=name, exact=True).first.click()
    for column in (*WITHOUT, *WITH):
        if column in WITH:
            page.get_by_placeholder("Search columns").fill(column)
        entry = page.locator(".du-bois-light-tree-treenode").filter(has=page.get_by_text(column, exact=True))
        entry.locator(".du-bois-light-tree-checkbox").first.click()
    page.keyboard.press("Escape")
    page.mouse.click(700, 40)
    page.wait_for_timeout(1000)
    keep(page.screenshot(clip={"x": 0, "y": 0, "width": SIZE["width"], "height": 460}), "mlflow")


def served(storage: str, run: str) -> "tuple[subprocess.Popen[str], Any]":
    """`ui`, and what it prints."""
    words = [sys.executable, "-m", "orchestrator", "ui", run, "--storage", storage, "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["runs"][0]


def main(storage: str, run: str) -> None:
    ui, links = served(storage, run)
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE)
            page.goto((Path(storage).absolute() / run / "report" / "report.html").as_uri())
            keep(page.screenshot(), "report")
            section(page, "What the keys do", "sweep")
            section(page, "Analysis: examples", "examples")
            table(page, links["table"])
            browser.close()
    finally:
        ui.terminate()
        ui.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
