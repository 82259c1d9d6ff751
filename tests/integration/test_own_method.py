"""Methods from outside the tree (`examples/own_method.py`): launched, killed, resumed and scored, here and on nodes."""

import os
import re
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import State
from tests.helpers.commands import Forked, orchestrate, orchestrate_forked
from tests.helpers.launches import cluster_of
from workloads import registry
from workloads.training.checkpoint import load_state

EXAMPLES = Path(__file__).parents[2] / "examples"
SLOW_FIT = """

import time


class SlowGaussian(Gaussian):
    def fit(self, images):
        time.sleep(1)
        return super().fit(images)
"""
SLOW = """

import time


class Slow(Autoencoder):
    def learner(self, *arguments):
        learner = super().learner(*arguments)
        step = learner.step

        def slowed(number, images):
            time.sleep(0.05)
            return step(number, images) | {"raylet": torch.tensor(float(os.getppid()))}

        learner.step = slowed
        return learner
"""


@pytest.fixture(autouse=True)
def places(monkeypatch):
    monkeypatch.setattr(registry, "PLACES", [])


@pytest.fixture
def mine(tmp_path):
    """A user's folder with the examples, the autoencoder made slow and in a package: a method that imports another."""
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("*.ipynb", "__pycache__"))
    (folder / "slow_methods").mkdir()
    (folder / "slow_methods" / "__init__.py").write_text("from slow_methods.inner import Slow\n")
    (folder / "slow_methods" / "inner.py").write_text("import os\n" + (folder / "own_method.py").read_text() + SLOW)
    space = (folder / "own_space.py").read_text()
    (folder / "slow_space.py").write_text(space.replace("own_method:Autoencoder", "slow_methods:Slow"))
    return folder


def images_in(folder, colour):
    """Four images, grey or coloured, of another side than the training's."""
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3) if colour else (4, 40, 40), np.uint8)
    for number, pixels in enumerate(values):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def launched_and_killed(space, storage, *words, **env):
    """A launch in a process of its own, killed as soon as a trial has reached a rung."""
    command = ["launch", space, "--preset", "smoke", "--name", "mine", "--storage", storage]
    command += ["--data-dir", storage / "data", "--plain", *words]
    printed = storage.with_name("printed")
    process = Forked(*command, printed=printed, env=os.environ | env)
    ledger, deadline = storage / "mine" / "ledger" / "000001.jsonl", time.monotonic() + 150
    try:
        while not (ledger.exists() and '"event":"rung"' in ledger.read_text().replace('": "', '":"')):
            assert process.poll() is None, printed.read_text()
            assert time.monotonic() < deadline, "no trial reached a rung"
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert Ledger(RunPaths(str(storage), "mine")).state.closed is None, "it ended before it was killed"


def scored(storage, images, *words):
    out = storage / "scores.parquet"
    places = ("--class", "3", "--false-alarms", "0.1", "--storage", storage, "--out", out)
    done = orchestrate("predict", "mine", images, *places, *words)
    return done, pq.read_table(out).to_pandas() if out.exists() else None


def test_an_autoencoder_is_launched_killed_resumed_and_scores_grey_and_colour(mine, tmp_path):
    storage = tmp_path / "runs"
    launched_and_killed(mine / "slow_space.py", storage, "--executor", "local")
    shutil.move(mine, tmp_path / "elsewhere")  # the run's copy is enough
    done = orchestrate("resume", "mine", "--storage", storage, "--executor", "local", "--plain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "AUTOENCODER" in done.stdout
    state = Ledger(RunPaths(str(storage), "mine")).state
    assert state.launches == 2
    assert {trial.state for trial in state.trials.values()} <= {State.FINISHED, State.STOPPED}
    for words in (("report", "mine"), ("compare", "mine"), ("analyse", "mine"), ("status", "mine")):
        assert orchestrate(*words, "--storage", storage, cwd=tmp_path).returncode == 0
    refused, _ = scored(storage, images_in(tmp_path / "colour", colour=True))
    assert refused.returncode == 4
    assert "--trust-code" in refused.stderr
    for images in (tmp_path / "colour", images_in(tmp_path / "grey", colour=False)):  # digits are grey
        done, scores = scored(storage, images, "--trust-code")
        assert done.returncode == 0, done.stderr
        assert len(scores) == 4
        assert (scores["score"] == scores["error"]).all()
    words = ("launch", tmp_path / "elsewhere" / "slow_space.py", "--preset", "smoke", "--dry-run", "--storage", storage)
    assert "measured by an earlier run" in orchestrate(*words).stdout  # the method states no cost


def test_a_fitted_method_is_launched_killed_resumed_and_scores(mine, tmp_path):
    storage = tmp_path / "runs"
    words = (mine / "own_fitted_space.py", "--preset", "smoke", "--storage", storage, "--executor", "local")
    assert "not known yet" in orchestrate("launch", *words, "--dry-run").stdout
    sizes_of = ("plan", mine / "own_fitted_space.py", "--preset", "smoke", "--storage", storage)
    sizes = orchestrate(*sizes_of)
    assert sizes.returncode == 2
    assert "is not known yet" in sizes.stderr
    launched_and_killed(mine / "own_fitted_space.py", storage, "--executor", "local")
    resume = ("resume", "mine", "--storage", storage, "--executor", "local", "--plain")
    done = orchestrate(*resume)
    assert done.returncode == 0, done.stderr
    assert re.search(r"took \d.* \(.*trials .*\); training", done.stdout)
    assert re.search(r"a worker  [\d,.]+ training images/s: measured by an earlier run", orchestrate(*sizes_of).stdout)
    assert "examples" in orchestrate("analyse", "mine", "--storage", storage).stdout
    unknown = orchestrate("analyse", "mine", "maps", "--storage", storage, "--executor", "local")
    assert "no analysis 'maps' of own_method:Gaussian" in unknown.stderr
    assert re.search(r"took [^(]*; training", orchestrate(*resume).stdout)  # nothing was left to do
    done, scores = scored(storage, images_in(tmp_path / "colour", colour=True), "--trust-code")
    assert done.returncode == 0, done.stderr
    assert (scores["decision"] == "anomalous").tolist() == (scores["p_value"] <= 0.1).tolist()


def test_a_run_of_an_installed_method_goes_on_with_its_copy_and_asks_for_trust(tmp_path):
    site, storage, space = tmp_path / "site", tmp_path / "runs", tmp_path / "space.py"
    (site / "gaussians").mkdir(parents=True)
    module = site / "gaussians" / "__init__.py"
    module.write_text((EXAMPLES / "own_method.py").read_text() + SLOW_FIT)
    (site / "gaussians-1.dist-info").mkdir()
    (site / "gaussians-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: gaussians\nVersion: 1\n")
    names = "[anomaly_orchestrator.methods]\nslow_gaussian = gaussians:SlowGaussian\n"
    (site / "gaussians-1.dist-info" / "entry_points.txt").write_text(names)
    text = (EXAMPLES / "own_fitted_space.py").read_text()
    space.write_text(text.replace("own_method:Gaussian", "slow_gaussian"))
    launched_and_killed(space, storage, "--executor", "local", PYTHONPATH=str(site))
    module.write_text("raise RuntimeError('edited')\n")
    words = ("resume", "mine", "--storage", storage, "--executor", "local", "--plain")
    done = orchestrate_forked(*words, printed=tmp_path / "said", cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stdout
    assert len(list((storage / "mine" / "code").glob("*/gaussians/__init__.py"))) == 1
    refused, _ = scored(storage, images_in(tmp_path / "grey", colour=False))
    assert refused.returncode == 4
    done, scores = scored(storage, tmp_path / "grey", "--trust-code")
    assert done.returncode == 0, done.stderr
    assert len(scores) == 4


@pytest.mark.ray
def test_on_one_node_and_on_two_a_package_travels_and_the_copy_goes_on(mine, tmp_path, monkeypatch):
    storage, forked = tmp_path / "runs", partial(orchestrate_forked, printed=tmp_path / "said")
    bad = "import sys\nif 'worker' in sys.argv[0]:\n    import no_such_package\n"
    (mine / "bad_method.py").write_text(bad + (mine / "own_method.py").read_text())
    (mine / "bad_space.py").write_text((mine / "own_space.py").read_text().replace("own_method:", "bad_method:"))
    with cluster_of(num_cpus=3) as cluster:  # a trial takes two: there is room for one on a node
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        places = ("--storage", storage, "--address", "auto", "--plain")
        launched_and_killed(mine / "slow_space.py", storage, "--address", "auto", "--cpus-per-worker", "2")
        (mine / "slow_methods" / "inner.py").write_text("raise RuntimeError('edited')\n")
        cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        fitted = ("launch", mine / "own_fitted_space.py", "--preset", "smoke", "--storage", storage, "--plain")
        for name, where in (("one", ("--executor", "local")), ("two", ("--address", "auto"))):
            done = forked(*fitted, "--name", name, *where)
            assert done.returncode == 0, done.stdout
        refused = forked("launch", mine / "bad_space.py", "--preset", "smoke", *places)
        assert refused.returncode == 3
        assert "2 of 2 nodes cannot load the method bad_method:Autoencoder" in refused.stdout
        assert "127.0.0.1: importing bad_method fails: No module named 'no_such_package'" in refused.stdout
        done = forked("resume", "mine", *places, cwd=mine)
        assert done.returncode == 0, done.stdout
    state = Ledger(RunPaths(str(storage), "mine")).state
    assert {trial.state for trial in state.trials.values()} <= {State.FINISHED, State.STOPPED}
    states = [load_state(file.parent) for file in (storage / "mine" / "trials").rglob("manifest.json")]
    raylets = {entry["raylet"] for state in states for entry in state["history"]}
    assert len(raylets) == 2  # both nodes have trained
    one, two = (Ledger(RunPaths(str(storage), name)).state.trials.values() for name in ("one", "two"))
    assert [trial.last.numbers for trial in one] == [trial.last.numbers for trial in two]
    done, scores = scored(storage, images_in(tmp_path / "colour", colour=True), "--trust-code")
    assert done.returncode == 0, done.stderr
    assert len(scores) == 4
