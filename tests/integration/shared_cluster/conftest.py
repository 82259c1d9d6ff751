"""The Ray that the tests of this folder share."""

import pytest

from orchestrator.clusters.session import ray_session


@pytest.fixture(scope="package")
def cluster():
    """Ray on two cores, as a laptop has them; launches of this process join it."""
    with ray_session(cpus=2) as ray:
        yield ray
