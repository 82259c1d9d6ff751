"""Launches as the command line would ask for them, and clusters of several nodes on this machine."""

import os
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from orchestrator.cli.exit_codes import OF_OUTCOMES
from orchestrator.clusters.session import QUIET, environment, sealed
from orchestrator.console.terminal import Terminal
from orchestrator.execution.analyse import analyse
from orchestrator.execution.from_request import folder_of
from orchestrator.execution.launch import executor_named, launch
from orchestrator.execution.observer import Observer
from orchestrator.planning.options import Options, load_space
from orchestrator.planning.request import Request, schedule_name

TINY_MLSAD = {"width": 0.0625, "levels": (1,), "generator_epochs": 0.1, "detector_epochs": 0.1, "bank_size": 16}
"""Keys of an MLSAD that is trained in a moment."""


def request_for(storage, space="sweep_digits", name=None, tracking_uri=None, executor="ray", slots=None, **options):
    """A launch as the command line would ask for it; smoke preset unless said otherwise.

    slots: on Ray, also how many processes with torch are started.
    """
    loaded, resolved, preset = load_space(str(space), Options(**({"preset": "smoke"} | options)))
    return Request(
        loaded=loaded,
        space=resolved,
        preset=preset,
        schedule=schedule_name(loaded, resolved, preset),
        storage=str(storage),
        data_dir=str(storage / "data-dir"),
        tracking_uri=tracking_uri,
        name=name,
        cpus=2,
        folder=folder_of(resolved.data),
        executor=executor,
        slots=slots,
    )


def run(request, executor=None):
    """(exit code, what was printed)."""
    out = Console(record=True, width=200, color_system=None, file=open("/dev/null", "w"))  # noqa: SIM115
    terminal = Terminal(out)
    finished = launch(request, terminal, executor)
    terminal.ended(finished)
    return OF_OUTCOMES[finished.outcome], out.export_text()


def copy_baselines(paths, storage):
    """What a run's baselines scored, for a launch on the same images in another storage, which is not about them."""
    shutil.copytree(paths.root / "baselines", Path(storage) / "baselines")


def analyse_run(paths, names, executor="ray"):
    """What the verb `analyse` does."""
    return analyse(paths, names, None, executor_named(executor, 2), Observer())


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
    defaults = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    # Ray writes the address of the newest cluster into a file of its default folder, which it expects to be there.
    # Tests run in several processes, so that each cluster has a default folder of its own. Jobs look into the cluster's
    # folder instead, and where no file is there they take any Ray of this machine
    with sealed() as folder, environment({"RAY_TMPDIR": str(Path(folder).parent)}):
        Path(folder).with_name("ray").mkdir()
        cluster = Cluster(initialize_head=True, head_node_args=defaults | {"temp_dir": folder} | head)
        Path(folder, "ray_current_cluster").write_text(cluster.address)
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
