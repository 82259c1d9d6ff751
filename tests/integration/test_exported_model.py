"""An exported model in an environment made of its requirements alone, without this checkout, answering over HTTP."""

import base64
import os
import subprocess
import sys
import time
import urllib.request

import pandas as pd
import pytest
import requests

import orchestrator
from tests.helpers.files import write_images
from tests.helpers.launches import TINY_MLSAD, free_ports
from tune_spaces.schema import Data, Space


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(the model's folder, the predictions of the run's own detector, the images' folder)."""
    folder = tmp_path_factory.mktemp("exported")
    counts = {"photos/train/good": 60, "photos/test/good": 9, "photos/test/bad": 5, "new": 4}
    write_images(folder, counts, (32, 32))
    data = Data(name="folder", path=str(folder / "photos"), side=32, classes=("good",))
    run = orchestrator.launch(Space(data=data, fixed=TINY_MLSAD), storage=folder / "runs", name="run", executor="local")
    orchestrator.export(run, "mlflow", folder / "model")
    orchestrator.predict(run, folder / "new", false_alarms=0.1, out=folder / "rows.csv", device="cpu")
    return folder / "model", pd.read_csv(folder / "rows.csv"), folder / "new"


@pytest.mark.slow
def test_a_served_model_answers_as_predict_does(exported, tmp_path):
    model, expected, images = exported
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "-r", model / "requirements.txt"]
    subprocess.run(install, check=True, cwd=tmp_path)
    (port,) = free_ports(1)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["PATH"] = f"{python.parent}:{env['PATH']}"
    serve = [python, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local", "-p", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(serve, cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        await_answer(server, f"http://127.0.0.1:{port}/ping", tmp_path / "log")
        rows = [[base64.b64encode((images / name).read_bytes()).decode()] for name in expected["image"]]
        body = {"dataframe_split": {"columns": ["image"], "data": rows}, "params": {"false_alarms": 0.1}}
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        answers = pd.DataFrame(answer.json()["predictions"])
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    assert answers["decision"].tolist() == expected["decision"].tolist()
    assert answers["score"].tolist() == pytest.approx(expected["score"].tolist(), rel=1e-5)
    assert answers["p_value"].tolist() == pytest.approx(expected["p_value"].tolist())


def await_answer(server, address, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())
