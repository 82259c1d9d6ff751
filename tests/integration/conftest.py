"""One real Ray cluster for each module, and launches into a storage of the module's own."""

import pytest

from orchestrator.clusters.session import ray_session


@pytest.fixture(scope="module")
def cluster():
    """Ray on two cores, as a laptop has them; the launches of a module join it."""
    with ray_session(cpus=2) as ray:
        yield ray


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")
