"""The example that serves a detector by Ray Serve: its answers over HTTP are those of `predict`."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import requests

import orchestrator
from tests.helpers.files import write_image
from tests.helpers.launches import free_ports
from tune_spaces.schema import Data, Space

pytestmark = pytest.mark.ray
pytest.importorskip("grpc_reflection", reason="needs ray[serve]")

SERVE = """
import sys
from ray import serve
from orchestrator.clusters.session import ray_session
from examples.serve_detector import app

with ray_session(cpus=2):
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(app)
    print("serves", flush=True)
    sys.stdin.read()
"""
"""Until its input ends. A process of its own, as a user's is: one that Ray ends does not take the tests along."""


def test_answers_over_http_are_those_of_predict(tmp_path):
    for name, count in (("photos/good", 60), ("new", 3)):
        for number in range(count):
            write_image(tmp_path / name / f"{number:04d}.png", (16, 16))
    data = Data(name="folder", path=str(tmp_path / "photos"), side=16)
    space = Space(workload="patch_memory", data=data, fixed={"features": "random", "model": "gaussian"})
    run = orchestrator.launch(space, storage=tmp_path / "runs", name="run", executor="local")
    orchestrator.predict(run, tmp_path / "new", false_alarms=0.1, out=tmp_path / "rows.csv", device="cpu")
    expected = pd.read_csv(tmp_path / "rows.csv")
    (port,) = free_ports(1)
    environment = os.environ | {"RUN": "run", "STORAGE": str(tmp_path / "runs")}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert "serves\n" in iter(server.stdout.readline, "")
        address = f"http://127.0.0.1:{port}/"
        bodies = [(tmp_path / "new" / name).read_bytes() for name in expected["image"]]
        answers = [requests.post(f"{address}?false_alarms=0.1", data=body, timeout=60) for body in bodies]
        refused = [
            requests.post(f"{address}?false_alarms={r}", data=b, timeout=60)
            for r, b in ((0.1, b"x"), (1e-4, bodies[0]))
        ]
    made = pd.DataFrame([answer.json() for answer in answers])
    assert made["decision"].tolist() == expected["decision"].tolist()
    assert made["score"].tolist() == pytest.approx(expected["score"].tolist(), rel=1e-5)
    assert made["p_value"].tolist() == pytest.approx(expected["p_value"].tolist())
    assert [answer.status_code for answer in refused] == [400, 400]
    assert "cannot be read" in refused[0].json()["error"]
    assert "smallest rate" in refused[1].json()["error"]
