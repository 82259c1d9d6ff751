"""A launch's Ray is nobody else's: what listens, who is let in, what lies where others could read it."""

import os
import secrets
import stat
import subprocess
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import ray
import requests

from orchestrator.clusters.session import private_folder, ray_session
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run

pytestmark = pytest.mark.ray

# Levels 1 and 2 need no generators; two workers, so that a Tune trial starts Train's.
SPACE = """
from tune_spaces.schema import Data, Resources, Scheduler, Search, Space

SPACE = Space(
    data=Data(name="digits", side=16, classes=("0",)),
    fixed={"levels": (1, 2), "width": 0.125, "detector_epochs": 1},
    axes={"detector_lr": (1e-2,)},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
    resources=Resources(workers=2),
)
"""

# What may listen, on the loopback address. Ray's workers are called after what they do.
LISTENERS = {
    "launcher": "its end of Ray",
    "gcs_server": "Ray's own directory",
    "raylet": "the node: tasks and objects",
    "dashboard.py": "dashboard, job interface, its metrics",
    "ray::": "workers and the node's two agents: jobs, runtime environments, metrics",
}

STRANGER = """
import sys, ray
ray.init(sys.argv[1], logging_level="ERROR")
print(ray.get(ray.remote(lambda: "let in").remote()))
"""


@dataclass(frozen=True)
class Launched:
    """What was seen of a launch, while its Ray was there and afterwards."""

    output: str
    storage: Path
    secrets: dict[str, str] = field(repr=False)  # what -> the text that must be nowhere
    listening: set[tuple[str, str]]  # (process, address)
    commands: str  # every command line of a process
    jobs: dict[str, set[int]]  # process -> status codes of its answers to a job handed in without a token
    strangers: list[subprocess.CompletedProcess]
    mode: int  # of the folder around Ray's temporary one
    files: dict[str, bytes] = field(repr=False)  # what lay there and in storage when the launch had ended
    left: bool  # whether Ray's temporary folder is still there
    home: Path
    environment: dict[str, str]  # what the session had left in it of RAY_AUTH_*


def processes():
    """(name, process) of this one and of all that it has started."""
    me = psutil.Process()
    yield "launcher", me
    for process in me.children(recursive=True):
        try:
            scripts = [Path(word).name for word in process.cmdline() if word.endswith(".py")]
            name = scripts[0] if process.name().startswith("python") and scripts else process.name().split(".")[0]
        except psutil.Error:  # it has ended
            continue
        yield name, process


def listeners():
    """(name, address, port) of every socket that listens now."""
    for name, process in processes():
        try:
            sockets = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        for connection in sockets:
            if connection.status == psutil.CONN_LISTEN:
                yield name, connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port


def hand_in_jobs():
    """Ask everything that listens to run a command, as one who has no token."""
    answers = defaultdict(set)
    for name, _, port in set(listeners()):
        for path in ("api/jobs/", "api/job_agent/jobs/"):
            try:
                answer = requests.post(f"http://127.0.0.1:{port}/{path}", json={"entrypoint": "id"}, timeout=10)
            except requests.RequestException:  # it speaks another protocol
                continue
            answers[name].add(200 if "submission_id" in answer.text else answer.status_code)
    return dict(answers)


def join_as_stranger(address, home, **variables):
    """`ray.init` from a process that knows the address, and finds the node, but not the token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    variables |= {"HOME": str(home), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    words = [sys.executable, "-c", STRANGER, address]
    return subprocess.run(words, capture_output=True, text=True, env=kept | variables, timeout=120)


def contents(*folders):
    return {str(file): file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """One small launch with secrets around it, its tracking server away; MLflow hears of it from a second one."""
    storage, home, nowhere = (tmp_path_factory.mktemp(name) for name in ("runs", "home", "nowhere"))
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").write_text("the user's own")
    (storage / "small.py").write_text(SPACE)
    planted = {name: secrets.token_hex(16) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    stale = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    password, listening, commands, over = secrets.token_hex(16), set(), set(), threading.Event()

    def watch():
        while not over.wait(2):
            listening.update((name, address) for name, address, _ in listeners())
            for _, process in processes():
                try:
                    commands.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue

    with pytest.MonkeyPatch.context() as patch:
        for name, value in planted.items() | stale.items() | {("HOME", str(home)), ("no_proxy", "*")}:
            patch.setenv(name, value)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with ray_session(cpus=2):
            token = os.environ["RAY_AUTH_TOKEN"]
            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            small = {"space": storage / "small.py", "name": "small", "preset": None}
            uri = f"http://someone:{password}@127.0.0.1:9"
            printed = [run(request_for(storage, **small, tracking_uri=uri))[1], run(request_for(storage, **small))[1]]
            over.set()
            watcher.join()
            address, jobs = ray.get_runtime_context().gcs_address, hand_in_jobs()
            ways = [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}]
            strangers = [join_as_stranger(address, nowhere, **way) for way in ways]
            folder = Path(ray._private.worker._global_node.get_session_dir_path()).parents[1]
            mode, files = stat.S_IMODE(folder.stat().st_mode), contents(folder, storage)
        after = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH_")}
    return Launched(
        output="\n".join(printed),
        storage=storage,
        secrets=planted | {"token": token, "stale token": stale["RAY_AUTH_TOKEN"], "password": password},
        listening=listening,
        commands="\n".join(commands),
        jobs=jobs,
        strangers=strangers,
        mode=mode,
        files=files,
        left=folder.exists(),
        home=home,
        environment={name: value for name, value in after.items() if stale.get(name) != value},
    )


def test_only_what_is_on_the_list_listens(launched):
    assert {"launcher", "gcs_server", "raylet", "dashboard.py"} <= {name for name, _ in launched.listening}
    for name, address in launched.listening:
        assert ("ray::" if name.startswith("ray::") else name) in LISTENERS
        assert address == "127.0.0.1", f"{name} listens on {address}"


def test_a_job_without_the_token_is_refused_by_everything_that_listens(launched):
    assert 401 in launched.jobs["dashboard.py"]
    assert 401 in launched.jobs["ray::RuntimeEnvAgent"]
    assert not [name for name, codes in launched.jobs.items() if 200 in codes]


def test_a_stranger_cannot_join(launched):
    for tried in launched.strangers:
        assert tried.returncode != 0
        assert "let in" not in tried.stdout
        assert "uthenticat" in tried.stderr


def test_no_secret_is_in_anything_that_a_launch_leaves_or_says(launched):
    paths = RunPaths(str(launched.storage), "small")
    assert [trial.state for trial in Ledger(paths).state.trials.values()] == ["finished"]
    names = {Path(name).name for name in launched.files}
    assert {"runtime_env_agent.log", "raylet.out", "mlflow.db", "000001.jsonl"} <= names
    for what, secret in launched.secrets.items():
        assert not [name for name, content in launched.files.items() if secret.encode() in content], what
        assert secret not in launched.output, what
        assert secret not in launched.commands, what


def test_rays_files_are_the_users_alone_and_gone_at_the_end(launched):
    assert launched.mode == 0o700
    assert not launched.left


def test_the_users_own_tokens_stay_as_they_were(launched):
    assert launched.environment == {}
    assert (launched.home / ".ray/auth_token").read_text() == "the user's own"


def test_a_long_temporary_folder_does_not_break_rays_sockets(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 10)))
    with private_folder() as folder:
        assert len(f"{folder}/session_2026-11-30_23-59-59_999999_4194304/sockets/plasma_store.1") < 107


def test_mlflow_tells_nobody():
    """In a process of its own: MLflow is silent wherever it sees a test or a build."""
    code = (
        "import orchestrator.record.tracking.tracker, mlflow\n"
        "from mlflow.telemetry import get_telemetry_client as of\n"
        "print(of())"
    )
    shown = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=shown, timeout=120)
    assert done.stdout.strip() == "None", done.stderr
