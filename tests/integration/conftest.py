"""One real Ray cluster for each module, and launches into a storage of the module's own."""

import os
import socket
from contextlib import contextmanager

import pytest
from rich.console import Console

from orchestrator.cluster import QUIET, ray_session, sealed
from orchestrator.launch import Request, launch
from orchestrator.options import Options, load_space


@pytest.fixture(scope="module")
def cluster():
    """Ray on two cores, as a laptop has them; the launches of a module join it."""
    with ray_session(cpus=2) as ray:
        yield ray


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def request_for(storage, space="sweep_digits", name=None, tracking_uri=None, **options):
    """A launch as the command line would ask for it; smoke preset unless said otherwise."""
    loaded, resolved, preset = load_space(str(space), Options(**({"preset": "smoke"} | options)))
    return Request(
        loaded=loaded,
        space=resolved,
        preset=preset,
        storage=str(storage),
        data_dir=str(storage / "data-dir"),
        tracking_uri=tracking_uri,
        name=name,
        cpus=2,
        plain=True,
    )


def run(request):
    """(exit code, what was printed)."""
    out = Console(record=True, width=200, color_system=None, file=open("/dev/null", "w"))  # noqa: SIM115
    return launch(request, out), out.export_text()


@contextmanager
def nodes_of_one_cpu(count):
    """A cluster of several nodes on this machine, so that two workers are on two nodes."""
    os.environ.update(QUIET)
    with cluster_of(num_cpus=1) as cluster:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster


@contextmanager
def cluster_of(**head):
    """A head with its dashboard, to which nodes can be added: as closed to others as a launch's own Ray is."""
    from ray.cluster_utils import Cluster

    (port,) = free_ports(1)
    dashboard = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    with sealed() as folder:
        cluster = Cluster(initialize_head=True, head_node_args=dashboard | {"temp_dir": folder} | head)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def free_ports(count):
    """Ports that nobody on this machine has: another Ray may hold the usual ones."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
