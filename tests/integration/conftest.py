"""A storage of a module's own for launches, and a browser for pages."""

import shutil

import pytest


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium of this system: playwright's own would be a download."""
    from playwright import sync_api

    place = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=place, args=["--no-sandbox"])
        yield opened
        opened.close()
