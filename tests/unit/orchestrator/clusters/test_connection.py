"""What a launch for a cluster is made of, and what an address, a token or a version that is wrong is answered with."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
import ray
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.clusters import jobs, submission
from orchestrator.clusters.code_package import PACKAGES, SPACE_FOLDER, pack
from orchestrator.clusters.connection import (
    ADDRESSES,
    check_address,
    connect,
    is_remote,
    own_token,
    settle_authentication,
    unreachable,
)
from orchestrator.clusters.jobs import option_words
from orchestrator.clusters.submission import launcher_words, refuse_own_folders
from orchestrator.planning.options import Options, load_space
from orchestrator.planning.request import absolute
from tune_spaces.schema import Auxiliary, Data
from workloads.errors import Kind, UserError


@contextmanager
def door():
    """A job server's door: its address, what it answers to whoever comes, and the paths that were asked for."""
    answers, requested = [], []

    class Door(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            status, text = answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Door)
    Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", answers, requested
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def server():
    with door() as (address, answers, _):
        yield address, answers


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No mode, no token, and no proxy in between."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", *ADDRESSES):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")


def test_options_become_a_command_line_that_gives_the_same_space():
    options = Options(preset="smoke", points=3, classes=["3", "8"], seed=5, set=["noise=0.0"], gpus_per_worker=0.5)
    words = option_words(options)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    again = Options(
        preset=dict(pairs)["--preset"],
        points=int(dict(pairs)["--points"]),
        classes=[value for name, value in pairs if name == "--class"],
        seed=int(dict(pairs)["--seed"]),
        set=[value for name, value in pairs if name == "--set"],
        gpus_per_worker=float(dict(pairs)["--gpus-per-worker"]),
    )
    assert load_space("sweep_digits", again)[1] == load_space("sweep_digits", options)[1]


def test_what_travels_is_code_alone_and_small(tmp_path):
    users_space = tmp_path / "mine.py"
    users_space.write_text("SPACE = 1\n")
    pack(tmp_path / "packed", [users_space])
    files = [path for path in (tmp_path / "packed").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "packed").parts[0] for path in files} == {*PACKAGES, SPACE_FOLDER}
    assert {path.suffix for path in files} <= {".py", ".toml", ".yaml", ".css", ".js", ".jinja", ".typed"}
    assert sum(path.stat().st_size for path in files) < 5e6


def test_results_must_not_go_with_the_job():
    with pytest.raises(UserError, match="where on the cluster") as refused:
        launcher_words(absolute("runs"), None, None)
    assert refused.value.kind == Kind.USAGE
    words = launcher_words("s3://bucket/runs", "http://mlflow:5000", 8)
    assert words[words.index("--storage") + 1] == "s3://bucket/runs"
    assert words[words.index("--slots") + 1] == "8"


def test_a_run_is_resumed_on_a_cluster_by_the_words_that_resume_it_here(monkeypatch):
    handed = []
    monkeypatch.setattr(submission, "submit_words", lambda words, run, address: handed.append((words, run, address)))
    submission.submit_resume("mine", "http://h:8265", "s3://b/runs", None, 2, accept_code=True)
    ((words, run, address),) = handed
    assert (run, address) == ("mine", "http://h:8265")
    assert words[:2] == ["resume", "mine"]
    assert words[words.index("--storage") + 1] == "s3://b/runs"
    assert "--accept-code" in words
    with pytest.raises(UserError, match="where on the cluster"):
        submission.submit_resume("mine", "http://h:8265", "runs", None, None, accept_code=False)


@pytest.mark.parametrize(
    ("address", "remote"), [(None, False), ("auto", False), ("http://h:8265", True), ("ray://h:1", True)]
)
def test_kinds_of_addresses(address, remote):
    check_address(address)
    assert is_remote(address) is remote


def test_no_kind_of_address_is_named_with_the_kinds_there_are():
    with pytest.raises(UserError) as refused:
        check_address("head:8265")
    assert "ray://" in refused.value.fix
    assert refused.value.kind == Kind.USAGE


def test_nothing_at_the_address_says_to_forward_the_port():
    with pytest.raises(UserError, match="no cluster answers") as refused:
        settle_authentication("http://127.0.0.1:9")
    assert "8265" in refused.value.fix


def test_the_mode_is_the_clusters(server, monkeypatch, tmp_path):
    import os

    address, answers = server
    answers[:] = [(200, '{"ray_version": "2.60.0"}')]
    settle_authentication(address)
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    monkeypatch.delenv("RAY_AUTH_MODE")
    answers[:] = [(401, "Unauthorized")]
    with pytest.raises(UserError, match="asks for a token, and there is none"):
        settle_authentication(address)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert own_token()
    settle_authentication(address)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_mode_that_cannot_work_is_refused(server, monkeypatch):
    address, answers = server
    answers[:] = [(403, "Forbidden")]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(UserError, match="RAY_AUTH_MODE=disabled"):
        settle_authentication(address)


def test_another_server_at_the_address_is_none(server):
    address, answers = server
    answers[:] = [(200, "<html>hello</html>")]
    with pytest.raises(UserError, match="no Ray job server"):
        settle_authentication(address)


def test_a_mismatch_of_versions_is_named_as_one():
    message = "Version mismatch: The cluster was started with:\n    Ray: 2.9.3\n    Python: 3.9.1\nThis process ..."
    error = unreachable("auto", RuntimeError(message))
    assert "other versions" in error.headline
    assert "2.9.3" in error.details


def test_another_ray_at_the_job_server_is_named_with_what_to_install(server):
    address, answers = server
    answers[:] = [(200, '{"ray_version": "2.9.3"}')]
    with pytest.raises(UserError, match=r"the cluster runs Ray 2\.9\.3") as refused:
        connect(address)
    assert "==2.9.3" in refused.value.fix


def test_a_cluster_that_is_gone_ends_the_watching_with_how_to_go_on(monkeypatch):
    monkeypatch.setattr(jobs, "GONE_S", 1)
    with door() as (address, answers, _):
        answers[:] = [(200, json.dumps({"ray_version": ray.__version__}))]
        client = connect(address)
    with pytest.raises(UserError, match="has not answered about the job run-1") as ended:
        jobs.follow(client, "run-1", print)
    assert ended.value.kind == Kind.ENVIRONMENT
    assert "--storage" in ended.value.fix


class Flaky:
    """A client whose connection is lost twice, the second time with the whole head."""

    lines, tries = ("begun\n", "trained\n", "ended\n"), 0

    async def tail_job_logs(self, job):
        self.tries += 1
        for line in self.lines[: self.tries]:
            yield line
        if self.tries < len(self.lines):
            raise RuntimeError("closed")

    def get_job_info(self, job):
        if self.tries == 2:
            raise ConnectionError("the head is not back yet")
        return SimpleNamespace(status="RUNNING" if self.tries < len(self.lines) else "SUCCEEDED")


def test_a_lost_connection_is_taken_up_where_it_was(monkeypatch):
    monkeypatch.setattr(jobs.time, "sleep", lambda seconds: None)
    output = []
    assert jobs.follow(Flaky(), "run-1", output.append) == 0
    assert "".join(output) == "begun\ntrained\nended\n"


@pytest.mark.parametrize(
    ("data", "data_dir", "named"),
    [
        (Data(name="digits"), "images", "--data-dir: 'images'"),
        (Data(name="folder", path="photos"), "data", "--images: 'photos'"),
        (
            Data(name="digits", auxiliary=(Auxiliary(name="folder", path="../all"),)),
            "/data",
            "--auxiliary folder: '../all'",
        ),
    ],
)
def test_images_in_a_folder_of_the_jobs_own_are_refused(data, data_dir, named):
    with pytest.raises(UserError, match="where on the cluster") as refused:
        refuse_own_folders(data, data_dir)
    assert named in refused.value.details
    assert refused.value.kind == Kind.USAGE


@pytest.mark.parametrize("data_dir", ["data", "/mnt/data", "~/data"])
def test_images_that_the_cluster_finds_are_not_refused(data_dir):
    refuse_own_folders(Data(name="digits"), data_dir)
    refuse_own_folders(Data(name="folder", path="/mnt/photos"), data_dir)
    refuse_own_folders(Data(name="digits", auxiliary=(Auxiliary(name="prepared", path="s3://b/set"),)), data_dir)


def test_a_relative_folder_is_refused_before_the_cluster_is_asked():
    words = ["launch", "sweep_digits", "--address", "http://127.0.0.1:9", "--data-dir", "images"]
    actual = CliRunner().invoke(app, words)
    assert isinstance(actual.exception, UserError)
    assert "--data-dir: 'images'" in actual.exception.details


@pytest.mark.parametrize("variable", ADDRESSES)
def test_the_address_that_is_given_is_the_one_that_is_asked(server, monkeypatch, variable):
    address, answers = server
    answers[:] = [(200, json.dumps({"ray_version": ray.__version__}))]
    with door() as (other, _, requested):
        monkeypatch.setenv(variable, other)
        assert connect(address).get_address() == address
        assert not requested


def test_a_cluster_that_has_just_started_is_given_time_to_take_the_job(monkeypatch):
    monkeypatch.setattr(jobs.time, "sleep", lambda _: None)
    answers = [RuntimeError("No available agent to submit job, please try again later."), "run-1"]

    def submit_job():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert jobs.once_up(submit_job) == "run-1"
    answers += [RuntimeError("Runtime environment failed"), "run-2"]
    with pytest.raises(RuntimeError, match="Runtime environment"):
        jobs.once_up(submit_job)
