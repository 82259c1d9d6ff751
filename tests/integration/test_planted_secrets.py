"""What is secret around a launch is in nothing that it leaves: storage, MLflow, report, terminal, command lines.

The same on Ray, with its own files: tests/integration/test_security.py.
"""

import secrets
import sys

import psutil
import pytest

from orchestrator.execution.local import LocalExecutor
from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run

PLANTED = {name: secrets.token_hex(16) for name in ("key", "password", "signature", "option", "variable")}


class Refused(LocalExecutor):
    """One trial fails by an error of a storage's library, which has a signed address in it."""

    commands = ""

    def attempt(self, task):
        self.commands += "\n".join(" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True))
        if task.kind == "trial" and task.name == self.first:
            raise RuntimeError(f"403 Forbidden: https://bucket/k?X-Amz-Signature={PLANTED['signature']}&x=1")
        return (yield from super().attempt(task))

    def run(self, tasks, listener, slots=None):
        self.first = next((task.name for task in tasks if task.kind == "trial"), "")
        super().run(tasks, listener, slots)


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """(storage, what was printed and run) of a launch whose tracking server is away, and of one that it hears of."""
    storage = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED["key"])
        patch.setenv("MLFLOW_TRACKING_PASSWORD", PLANTED["variable"])
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setattr(sys, "argv", ["orchestrator", "launch", "sweep_digits", "--token", PLANTED["option"]])
        small = {"name": "planted", "points": 2, "scheduler": "fifo", "classes": ["3"], "executor": "local"}
        small |= {"set": ["detector_epochs=0.1", "generator_epochs=0.1", "levels=(1,)"]}
        printed, executor = "", Refused()
        for uri in (f"http://someone:{PLANTED['password']}@127.0.0.1:9", None):
            code, text = run(request_for(storage, tracking_uri=uri, **small), executor)
            assert code == 1, text
            printed += text
    return storage, printed + executor.commands


def test_no_secret_is_in_anything_that_a_launch_leaves_or_says(launched):
    storage, printed = launched
    (state,) = {trial.error for trial in Ledger(RunPaths(str(storage), "planted")).state.trials.values() if trial.error}
    assert "https://bucket/k?X-Amz-Signature=***" in state, "it is told of, but for what is secret"
    assert "read -r _" in printed, "command lines were looked at"
    files = {str(file): file.read_bytes() for file in storage.rglob("*") if file.is_file()}
    assert {"mlflow.db", "report.html", "000001.jsonl"} <= {name.rpartition("/")[2] for name in files}
    for what, secret in PLANTED.items():
        assert not [name for name, content in files.items() if secret.encode() in content], what
        assert secret not in printed, what
