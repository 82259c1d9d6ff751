"""A run of format 1, kept in tests/data as it was left on disk, is still read: status, report, compare, predict.

Of its folder are left out: Tune's own files, and the page and the pictures of its report, whose bytes change with the
versions of matplotlib; of its storage: shards and stages, which only training and analyses read.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.helpers.commands import orchestrate

STORED = Path(__file__).parents[1] / "data" / "format_1_run"
RUN = "digits"
FINISHED, STOPPED = "361fb5300d2b", ("b20321c6977c", "1dd2cc5a4f71")


@pytest.fixture
def storage(tmp_path):
    return Path(shutil.copytree(STORED, tmp_path / "runs"))


def printed_by(storage, *words):
    """What the command printed. It must end well."""
    done = orchestrate(*words, "--storage", storage, COLUMNS="200")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_status_names_the_states_of_its_trials(storage):
    assert f"{RUN}  outcome complete, finished 1, stopped 2, stages 2, launches 1" in printed_by(storage, "status", RUN)
    trials = json.loads(printed_by(storage, "status", RUN, "--json"))["trials"]
    assert {name: trial["state"] for name, trial in trials.items()} == {
        FINISHED: "finished",
        **dict.fromkeys(STOPPED, "stopped"),
    }
    assert {budget for trial in trials.values() for budget in trial["rungs"]} == {"500", "1000"}


def test_report_written_again_has_the_numbers_of_then(storage):
    report = storage / RUN / "report"
    names = ["report.md", "report.json", "table.csv"]
    for name in names:
        (report / name).unlink()
    printed_by(storage, "report", RUN)
    then, now = (json.loads((root / RUN / "report" / "report.json").read_text()) for root in (STORED, storage))
    assert [numbers_of(row) for row in now["table"]["rows"]] == [numbers_of(row) for row in then["table"]["rows"]]
    for name in ("title", "selection", "trials", "levels", "costs", "analyses"):
        assert now[name] == then[name], name
    assert then["facts"].items() <= now["facts"].items()
    text = (report / "report.md").read_text()
    assert "measured (custom schedule)" in text, "a schedule that is no preset's was called the run's own"
    assert "over 2 of 2 classes" in text
    assert now["intervals"]["mean"], "which that version did not have"
    assert {"report.html", "roc.png", "scores.png"} < {file.name for file in report.iterdir()}


def numbers_of(row):
    """What a row of the table measures."""
    return {name: row[name] for name in ("name", "values", "mean", "leak")}


def test_compare_holds_it_beside_a_copy_of_itself(storage):
    shutil.copytree(storage / RUN, storage / "again")
    printed = printed_by(storage, "compare", RUN, "again")
    for model in (f"{RUN}/3", "again/8"):
        assert model in printed
    assert "1.000 (896)" in printed


def test_its_detector_scores_images_as_it_did_then(storage, tmp_path):
    column, row = np.meshgrid(np.arange(16), np.arange(16))
    images = {"ramp": 16 * column, "checks": 255 * ((row + column) % 2), "black": 0 * column}
    (tmp_path / "images").mkdir()
    for name, pixels in images.items():
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / f"{name}.png")
    out = tmp_path / "scores.parquet"
    printed_by(storage, "predict", RUN, tmp_path / "images", "--class", "3", "--false-alarms", "0.1", "--out", out)
    scores = pq.read_table(out).to_pandas().set_index("image")
    assert {"score", "level_4"} < set(scores.columns)
    then = {"ramp.png": 0.525553, "checks.png": 0.546250, "black.png": 0.509463}
    assert scores["score"].to_dict() == pytest.approx(then, abs=1e-5)
