"""Starting or joining Ray."""

import ctypes
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.clusters.code_package import pack
from orchestrator.clusters.connection import MODE, TOKEN, TOKEN_PATH, read_authentication_again, unreachable
from orchestrator.clusters.surroundings import (
    LARGER,
    check_folder,
    check_surroundings,
    object_store,
    temporary_root,
    without_proxy,
)
from orchestrator.planning.capacity import SPARE_CPUS, Node

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

QUIET = {
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # of 2: workers that train together are heard of no sooner
    "RAY_worker_maximum_startup_concurrency": "8",  # its default, one a core, makes raylet warn at every launch
}

START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
PROMPT = {START_TIMEOUT: "300", "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}  # nobody takes this machine away
PATIENT = {START_TIMEOUT: "3600"}  # a cluster's nodes may have to be started first


def start_timeout_s() -> float:
    """Seconds that workers may take to start, or to come back."""
    return float(os.environ.get(START_TIMEOUT) or PROMPT[START_TIMEOUT])


def heed_signals() -> None:
    """Ctrl-C, a batch system's polite stop and a terminal that goes away all end a launch cleanly. The first two also
    where a shell's `&` has them ignored; the last is ignored where `nohup` wants it so."""
    if threading.current_thread() is threading.main_thread():
        hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
        for polite in (signal.SIGINT, signal.SIGTERM, *hangup):
            signal.signal(polite, signal.default_int_handler)


def c_handler(number: int) -> int | None:
    """The address of what the system calls for a signal; None for its default. Python's own leads on to what
    `signal.signal` was told, which the main thread alone can change, and this address any."""
    of = ctypes.pythonapi.PyOS_getsig
    of.restype = ctypes.c_void_p
    address: int | None = of(number)
    return address


@contextmanager
def ray_session(
    cpus: int | None = None, address: str | None = None, code: Path | None = None, *, dashboard: bool = True
) -> Iterator[Any]:
    """Ray on this machine, or the running one that this machine belongs to; left on the way out. Inside: that one.

    code: a module's file or a package's folder, to be importable on every node. dashboard: with it, three processes
    more, which only workers that train together need (see `local_ray`).
    """
    # here, too: what Train finds in the launcher's own environment it gives to its controllers and workers
    settings = QUIET | (PROMPT if address is None else PATIENT)
    changes = {name: value for name, value in settings.items() if name not in os.environ}
    modules = {"py_modules": [str(code)]} if code else {}
    with environment(changes), started_or_joined(cpus, address, modules, dashboard) as ray:
        yield ray


@contextmanager
def started_or_joined(
    cpus: int | None, address: str | None, modules: Mapping[str, list[str]], dashboard: bool
) -> Iterator[Any]:
    import ray

    if ray.is_initialized():
        yield ray
        return
    for name in ("ray", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # of trials that were lost the ledger tells
    stop = c_handler(signal.SIGTERM)
    with local_ray(ray, cpus, modules, dashboard) if address is None else joined(ray, address, modules):
        ctypes.pythonapi.PyOS_setsig(signal.SIGTERM, ctypes.c_void_p(stop))  # Ray has put its own there: in C,
        heed_signals()  # and, in the main thread, in Python
        yield ray


@contextmanager
def local_ray(ray: Any, cpus: int | None, modules: Mapping[str, list[str]], dashboard: bool) -> Iterator[None]:
    """A Ray of our own, its dashboard, if any, on the loopback address.

    The dashboard is not for show: without it Ray Train leaks what workers that train together held when a scheduler
    stops them.
    """
    check_surroundings()
    store, remark = object_store()
    if remark:
        log.warning("%s; %s", remark, LARGER)
    with sealed() as folder:
        # inherited by workers, as QUIET and PROMPT are: with a runtime environment for them, each would wait for a new
        # process, and those that Ray has started ahead would be of no use
        address = {"RAY_ADDRESS": own_address()}
        try:
            with needed_processes(dashboard), environment(address), in_our_words():
                ray.init(
                    address="local",  # not another Ray that happens to run here
                    num_cpus=(cpus or os.cpu_count() or 1) + SPARE_CPUS,
                    object_store_memory=store,
                    include_dashboard=dashboard,
                    dashboard_host=LOOPBACK,
                    _node_ip_address=LOOPBACK,
                    _temp_dir=folder,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env=dict(modules),
                )
            yield
        finally:
            ray.shutdown()


@contextmanager
def needed_processes(dashboard: bool) -> Iterator[None]:
    """A Ray that is started inside has no autoscaler, for there is this machine alone, and nobody who hands on logs,
    which nobody is shown. Without a dashboard it would still start that process, to count users, and wait for it; it
    does not. `ray.init` has no options for these.
    """
    from ray._private import node, parameter

    parameters, start = parameter.RayParams, node.Node.start_api_server
    parameter.RayParams = partial(parameters, include_log_monitor=False, no_monitor=True)
    if not dashboard:
        node.Node.start_api_server = lambda *_, **__: None
    try:
        yield
    finally:
        parameter.RayParams, node.Node.start_api_server = parameters, start


@contextmanager
def in_our_words() -> Iterator[None]:
    """A Ray that is started or joined inside prints no pages of its logs where one of its processes has ended: the
    launcher says so itself. `log_to_driver` does not concern these."""
    from ray._private import worker

    listens, worker.listen_error_messages = worker.listen_error_messages, lambda *_: None
    try:
        yield
    finally:
        worker.listen_error_messages = listens


@contextmanager
def sealed() -> Iterator[str]:
    """Make the Ray that is started inside nobody else's; what it is to use as its temporary folder.

    Whoever has the token runs code as this user. It is made for this one Ray, lies in the environment that its
    processes inherit and nowhere else, and what was there before comes back on the way out.
    """
    from ray._private import ray_constants

    loopback_only = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR  # else Ray turns 127.0.0.1 into the network's address
    variables: dict[str, str | None] = {MODE: "token", TOKEN: secrets.token_hex(32), TOKEN_PATH: None}
    variables |= {loopback_only: "0", "RAY_ENABLE_K8S_TOKEN_AUTH": None, "RAY_GCS_SERVER_PORT": None}
    variables |= without_proxy(os.environ)
    variables["GLOO_SOCKET_IFNAME"] = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), None)
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    with environment(variables), private_folder() as folder:
        ray_constants.ENABLE_RAY_CLUSTER = False  # the variable again, for this process: it was read on import
        read_authentication_again()
        try:
            yield folder
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = clusters


@contextmanager
def environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables, or take them away where the value is None; as they were before on the way out."""
    before = {name: os.environ.get(name) for name in changes}

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    put(changes)
    try:
        yield
    finally:
        put(before)


@contextmanager
def private_folder() -> Iterator[str]:
    """A folder for Ray that no other user can enter, removed on the way out.

    Ray opens its own temporary folder to everybody, so that one lies in a private one.
    """
    root = temporary_root()
    Path(root).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ray-", dir=root, ignore_cleanup_errors=True) as folder:
        yield f"{folder}/r"


@contextmanager
def joined(ray: Any, address: str, modules: Mapping[str, list[str]]) -> Iterator[None]:
    """The running cluster of this machine. Raises UserError where there is none, or it is not for us.

    A job's workers have its code already, and its address; from outside a job both go along. Raises UserError where a
    job's folder has a package under the name of one of ours, too.
    """
    runtime_env: dict[str, Any] = {"env_vars": QUIET | PATIENT, **modules}
    folder = None
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        check_folder(Path.cwd())  # from outside a job workers look into what goes along instead
    else:
        folder = tempfile.TemporaryDirectory()
        pack(Path(folder.name))
        runtime_env["working_dir"] = folder.name
    read_authentication_again()
    try:
        with in_our_words():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=runtime_env)
    except (RuntimeError, ConnectionError, ray.exceptions.RayError) as error:
        raise unreachable(address, error) from None
    finally:
        if folder is not None:
            folder.cleanup()  # it has been uploaded
    try:
        yield
    finally:
        ray.shutdown()


def end_what_is_left() -> None:
    """Where one of the processes of a Ray of our own has ended: end the others, which it cannot do itself."""
    import ray

    ray._private.worker._global_node.kill_all_processes(check_alive=False, allow_graceful=False)


def node_resources() -> list[Node]:
    """What every living node offers."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def own_address() -> str:
    """Choose the port of the Ray that is about to start, so that its workers can be told its address.

    Ray's cleaner of stopped trials looks for "the" Ray of the machine. Where there are two it gives up, and what the
    trials held is never free again.
    """
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    os.environ["RAY_GCS_SERVER_PORT"] = str(port)
    return f"{LOOPBACK}:{port}"


def off_main_thread(*calls: Callable[[], Any]) -> None:
    """Wait for each of the calls in a thread of its own. In the main thread Ray Train would take Ctrl-C over, and keep
    it. Raises what the first that failed has raised, once all have ended."""
    errors: list[BaseException] = []

    def guarded(call: Callable[[], Any]) -> None:
        try:
            call()
        except BaseException as error:  # raised again below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
    if errors:
        raise errors[0]
