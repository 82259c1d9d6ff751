"""What could break a launch is told with a fix, and nothing is started."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.execution import doctor


@pytest.fixture
def checks(tmp_path, monkeypatch):
    """Name -> check, of a machine as it is or as a test makes it."""
    monkeypatch.chdir(tmp_path)

    def of(storage=tmp_path / "runs", tracking_uri=None, spaces=()):
        listed = doctor.examined(str(storage), str(tmp_path / "data"), tracking_uri, spaces, False)
        assert all(check.fix for check in listed if check.outcome != "ok"), "a fix for each finding"
        return {check.name: check for check in listed}

    return of


def test_this_machine_can_launch_and_the_storage_is_left_as_it_was(checks, tmp_path):
    listed = checks(spaces=["sweep_digits", "sweep_nowhere"])
    assert [name for name, check in listed.items() if check.outcome == "fail"] == ["images of sweep_nowhere"]
    assert listed["images of sweep_digits"].outcome == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_too_old_is_named_with_the_command(checks, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _: ["ray>=99", "nobody-has-this>=1", 'boto3>=1; extra == "aws"'])
    listed = checks()
    assert listed["ray"].fix == "pip install --upgrade 'ray>=99'"
    assert listed["nobody-has-this"].text.startswith("none is installed")
    assert "boto3" not in listed


@pytest.mark.parametrize(
    ("variables", "name", "outcome"),
    [
        ({"RAY_TMPDIR": "/tmp/" + "long" * 10}, "temporary folder", "fail"),
        ({"OMP_NUM_THREADS": "512"}, "threads", "warn"),
        ({"OMP_NUM_THREADS": "1"}, "threads", "ok"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "", "NO_PROXY": ""}, "proxy", "warn"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "localhost,127.0.0.1"}, "proxy", "ok"),
    ],
)
def test_what_the_shell_sets_is_looked_at(checks, monkeypatch, variables, name, outcome):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert checks()[name].outcome == outcome


def test_a_storage_that_cannot_be_written_and_a_full_disk_fail(checks, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(doctor, "LOW_DISK", 1e30)
    monkeypatch.setattr(doctor, "NO_DISK", 1e30)
    monkeypatch.setattr(doctor, "LOW_INODES", 1e30)
    monkeypatch.setattr(doctor, "write_atomically", lambda *_: (_ for _ in ()).throw(OSError("read-only")))
    listed = checks()
    assert {name: listed[name].outcome for name in ("storage", "disk")} == {"storage": "fail", "disk": "fail"}
    assert listed["inodes"].outcome in ("warn", "ok"), "some file systems count none"


@pytest.mark.parametrize(
    ("uri", "outcome"),
    [("http://127.0.0.1:9", "warn"), ("ftp://somewhere/db", "fail"), ("sqlite:////no/such/folder/mlflow.db", "fail")],
)
def test_a_store_that_is_away_is_warned_of_and_one_that_cannot_be_fails(checks, uri, outcome):
    assert checks(tracking_uri=uri)["MLflow"].outcome == outcome


def test_mlflow_that_listens_to_others_is_warned_of(checks):
    code = "import socket, sys; s = socket.create_server(('0.0.0.0', 0)); print(s.getsockname()[1], flush=True)"
    code += "; sys.stdin.read()"
    words = [sys.executable, "-c", code, "mlflow"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline().strip()
        ports = checks()["ports"]
        process.stdin.close()
    assert ports.outcome == "warn"
    assert port in ports.text


def test_the_verb_says_where_things_are_and_ends_as_a_launch_would(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_STORAGE", str(tmp_path / "runs"))
    done = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    facts = json.loads(done.output)
    assert facts["from"]["storage"]["by"] == "ORCHESTRATOR_STORAGE"
    assert done.exit_code == (3 if any(check["outcome"] == "fail" for check in facts["checks"]) else 0)
    assert "fix: name another by --data-dir" in CliRunner().invoke(app, ["doctor"], catch_exceptions=False).output
