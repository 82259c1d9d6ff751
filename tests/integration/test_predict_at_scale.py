"""`predict --address` on real Ray: killed in the middle, continued on two nodes, equal to an undisturbed prediction."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import orchestrator
from orchestrator.clusters.session import ray_session
from orchestrator.inference import at_scale
from tests.helpers.commands import kill_once
from tests.helpers.files import write_images
from tests.helpers.launches import nodes_of_one_cpu
from tune_spaces.schema import Data, Space
from workloads.errors import UserError

pytestmark = pytest.mark.ray
IMAGES, PART = 600, 10
FIXED = {"features": "random", "model": "gaussian"}
KILLED = """
import sys
import orchestrator
from orchestrator.inference import at_scale
at_scale.PART = int(sys.argv[1])
orchestrator.predict("run", sys.argv[2], storage=sys.argv[3], out=sys.argv[4], false_alarms=0.1, address="local")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A storage with a run, `runs`, and images to decide on, `new`, one of them broken, and a file that is none."""
    folder = tmp_path_factory.mktemp("scale")
    write_images(folder, {"photos/good": 60, "new": IMAGES}, (16, 16))
    (folder / "new" / "123.png").write_bytes(b"no image")
    (folder / "new" / "notes.txt").write_text("x")
    data = Data(name="folder", path=str(folder / "photos"), side=16)
    space = Space(workload="patch_memory", data=data, fixed=FIXED)
    orchestrator.launch(space, storage=folder / "runs", name="run", executor="local")
    return folder


@pytest.fixture(scope="module")
def killed(folder):
    """The output of a prediction whose process was killed, and when each finished part was written."""
    out = folder / "decisions"
    words = [str(PART), folder / "new", folder / "runs", out]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *map(str, words)], stdout=subprocess.DEVNULL)
    kill_once(process, lambda: len(list(out.glob("part-*"))) >= 3)
    return out, {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}


def test_a_killed_prediction_goes_on_on_two_nodes_and_equals_an_undisturbed_one(folder, killed, monkeypatch):
    out, before = killed
    assert 3 <= len(before) < IMAGES // PART
    assert not (out / "_summary.json").exists()
    monkeypatch.setattr(at_scale, "PART", PART)
    seen = []
    words = {"storage": folder / "runs", "false_alarms": 0.1}
    new = str(folder / "new")
    with nodes_of_one_cpu(2) as cluster, ray_session(address=cluster.address):
        made = orchestrator.predict("run", new, out=out, address="auto", seen=lambda *n: seen.append(n), **words)
        again = orchestrator.predict("run", new, out=folder / "whole", address="auto", **words)
    after = {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}
    assert {name: after[name] for name in before} == before, "finished parts are not scored again"
    assert seen[0] == (len(before) * PART, IMAGES)
    assert seen[-1] == (IMAGES, IMAGES)
    for name in after:
        assert (out / name).read_bytes() == (folder / "whole" / name).read_bytes()

    alone = orchestrator.predict("run", new, out=folder / "alone.parquet", device="cpu", **words)
    assert made.counts == again.counts == alone.counts
    assert made.counts["unreadable"] == 1
    assert made.account == alone.account
    assert [item.names for item in made.account.left_out] == [("notes.txt",), alone.account.left_out[1].names]
    rows, expected = pd.read_parquet(out), pd.read_parquet(folder / "alone.parquet")
    assert rows[["image", "decision", "problem"]].equals(expected[["image", "decision", "problem"]])
    np.testing.assert_allclose(rows["score"], expected["score"], rtol=1e-5)
    summary = json.loads((out / "_summary.json").read_text())
    assert summary["counts"] == made.counts
    assert summary["threshold"]["value"] == made.threshold.value
    assert [item["count"] for item in summary["account"]["left_out"]] == [1, 1]
    # What is finished needs no Ray, and other decisions go elsewhere.
    assert orchestrator.predict("run", new, out=out, address="local", **words).counts == made.counts
    with pytest.raises(UserError, match="holds other decisions") as caught:
        orchestrator.predict("run", new, out=out, address="local", storage=folder / "runs", false_alarms=0.2)
    assert "threshold.value" in caught.value.details
