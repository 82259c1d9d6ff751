"""Launches into a storage of a module's own."""

import pytest


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")
