"""Normal images added to a finished detector: another detector, its thresholds and where it comes from."""

import json
import os
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import orchestrator
from orchestrator import UserError
from orchestrator.inference import extend
from orchestrator.inference.extend import pixels_of, run_of, with_images
from orchestrator.inference.sources import images_at
from orchestrator.record.runs import open_run
from tests.helpers.commands import orchestrate
from tests.helpers.files import flip, write_image
from tests.unit.orchestrator.inference.test_predict import pictures, saved
from tune_spaces.schema import Data, Space
from workloads.data.copies import Whole
from workloads.files import DamagedFileError, write_checked
from workloads.portable import load_detector
from workloads.training.fitted import Fit

FIXED = {"features": "random", "model": "gaussian"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of normal images, `runs`; brighter ones of another day, to add and to test, `added` and `fresh`."""
    folder = tmp_path_factory.mktemp("extend")
    saved(folder / "photos" / "good", pictures(60, 0))
    saved(folder / "added", pictures(40, 1, bright=60))
    saved(folder / "fresh", pictures(200, 2, bright=60))
    data = Data(name="folder", path=str(folder / "photos"), side=16)
    space = Space(workload="patch_memory", data=data, fixed=FIXED)
    orchestrator.launch(space, storage=folder / "runs", name="run", executor="local")
    done = orchestrate("extend", "run", folder / "added", "--out", folder / "further", "--storage", folder / "runs")
    assert done.returncode == 0, done.stderr
    assert "40 images added" in done.stdout
    assert "is 0.02439" in done.stdout
    return folder


def test_the_detector_knows_the_new_images_and_keeps_the_promised_rate_on_fresh_ones(folder):
    before = orchestrator.predict(
        "run", folder / "fresh", storage=folder / "runs", false_alarms=0.1, out=folder / "a.csv", device="cpu"
    )
    assert before.counts["anomalous"] == 200, "another day's images are all unlike those of the run"
    after = orchestrator.predict(folder / "further", folder / "fresh", false_alarms=0.1, out=folder / "b.csv")
    assert after.threshold.count == 40
    assert after.threshold.rests_on == "added images, each scored by one of 5 detectors without it"
    assert after.threshold.low <= after.counts["anomalous"] / 200 <= after.threshold.high
    assert after.shift.p_value > 0.01
    defects = saved(folder / "defects", pictures(20, 3, bright=-80))
    made = orchestrator.predict(folder / "further", defects, false_alarms=0.1, out=folder / "c.csv")
    assert made.counts["anomalous"] == 20


def test_held_out_scores_are_of_detectors_that_have_not_seen_the_image(folder):
    further = load_detector(folder / "further", "cpu")
    seen = further.score(sorted((folder / "added").iterdir()))
    assert np.median(further.normals.scores) > np.median(seen)


def test_the_folder_says_where_it_comes_from_and_is_exported_and_extended_like_a_run(folder, tmp_path):
    lineage = json.loads((folder / "further" / "lineage.json").read_text())["lineage"]
    assert lineage["orchestrator.run"] == "run"
    assert lineage["orchestrator.added"].startswith("40 images, digest ")
    assert lineage["orchestrator.added"] in (folder / "further" / "README.md").read_text()
    lines = orchestrator.export(folder / "further", "torch", tmp_path / "program")
    assert "scores differ by" in lines[-1]
    assert "added: 40 images" in (tmp_path / "program" / "README.md").read_text()
    newer = saved(tmp_path / "newer", pictures(60, 8))
    again = orchestrator.extend(folder / "further", newer, out=tmp_path / "again")
    assert again.added == 60
    added = json.loads((tmp_path / "again" / "lineage.json").read_text())["lineage"]["orchestrator.added"]
    assert added.startswith(lineage["orchestrator.added"] + "; 60 images")
    rows = orchestrator.predict(tmp_path / "again", folder / "fresh", false_alarms=0.1, out=tmp_path / "rows.csv")
    assert len(pd.read_csv(rows.out)) == 200


def test_copies_and_images_of_a_group_are_held_out_together(folder, tmp_path, monkeypatch):
    added = saved(tmp_path / "added", pictures(10, 5, bright=60), "part{:03d}_a.png")
    saved(added, pictures(1, 6), "part003_b.png")
    shutil.copy(added / "part000_a.png", added / "zcopy.png")
    calls = []
    scores = Fit.cross_extended
    monkeypatch.setattr(Fit, "cross_extended", lambda self, windows, numbers: (
        calls.append(numbers.tolist()), scores(self, windows, numbers))[1])  # fmt: skip
    images = images_at([str(added)])
    source = replace(run_of(*open_run(str(folder / "runs"), "run"), None), group=r"(part\d+)_")
    pixels = pixels_of(source.export.detector, images)
    further, notes = with_images(source, images, pixels, Whole.of([pixels]))
    assert [file.name for file in images.images][3:5] == ["part003_a.png", "part003_b.png"]
    assert calls == [[0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 0]]
    assert len(further.detector.normals.scores) == 12
    assert "1 images to learn from are copies" in notes[0]


def test_images_are_not_added_twice_and_what_fails_leaves_nothing(folder, tmp_path, monkeypatch):
    shutil.copytree(folder / "added", tmp_path / "more")
    (tmp_path / "more" / "000.png").rename(tmp_path / "more" / "renamed.png")
    with pytest.raises(UserError, match=r"40 of 40 images were learnt before: #0 001\.png"):
        orchestrator.extend(folder / "further", tmp_path / "more", out=tmp_path / "twice")
    monkeypatch.setattr(extend, "card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        orchestrator.extend("run", folder / "added", out=tmp_path / "stopped", storage=folder / "runs")
    assert os.listdir(tmp_path) == ["more"]
    assert "copies of learnt images are not added" in (folder / "further" / "README.md").read_text()


def test_copies_of_what_a_detector_has_learnt_are_refused_by_name_whatever_their_file(folder, tmp_path):
    learnt = run_of(*open_run(str(folder / "runs"), "run"), None).train
    more = saved(tmp_path / "more", pictures(9, 9))
    further = orchestrator.extend("run", more, out=tmp_path / "detector", storage=folder / "runs").out
    Image.fromarray(learnt.images[3].transpose(1, 2, 0)).save(more / "again.bmp")
    with pytest.raises(UserError, match=rf"1 of 10 images were learnt before: #9 again\.bmp \(as {learnt.ids[3]}\)"):
        orchestrator.extend("run", more, out=tmp_path / "x", storage=folder / "runs")
    with pytest.raises(UserError, match=r"10 of 10 images were learnt before"):
        orchestrator.extend(further, more, out=tmp_path / "x")
    about = json.loads((further / "lineage.json").read_text())
    (further / "lineage.json").write_text(json.dumps({key: about[key] for key in about if key != "learnt"}))
    with pytest.raises(UserError, match="an earlier version made this detector"):
        orchestrator.extend(further, more, out=tmp_path / "x")


def test_a_run_without_the_images_that_it_has_learnt_is_not_extended(folder, tmp_path):
    storage = shutil.copytree(folder / "runs", tmp_path / "runs")
    shutil.rmtree(storage / "data")
    with pytest.raises(UserError, match="the images that this detector has learnt are gone"):
        orchestrator.extend("run", folder / "added", out=tmp_path / "x", storage=storage)


def test_a_detectors_folder_runs_no_code_from_outside_and_says_what_it_lacks(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('was_run', 'w')")
    detector = tmp_path / "detector"
    shutil.copytree(folder / "further", detector)
    about = json.loads((detector / "detector.json").read_text())
    (detector / "lineage.json").unlink()
    with pytest.raises(UserError, match=r"it has no lineage\.json"):
        orchestrator.export(detector, "torch", tmp_path / "program")
    write_checked(detector / "detector.json", json.dumps(about | {"method": "evil:Method"}).encode())
    for use in (orchestrator.load, partial(orchestrator.export, to="torch", folder=tmp_path / "program")):
        with pytest.raises(UserError) as caught:
            use(detector)
        assert "--trust-code" in caught.value.fix
    with pytest.raises(UserError, match="does not carry code of your own"):
        orchestrator.extend(detector, folder / "added", out=tmp_path / "x")
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("name", ["detector.json", "held_out.json"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_file_of_a_detectors_folder_is_named(folder, tmp_path, name, gone):
    detector = tmp_path / "detector"
    shutil.copytree(folder / "further", detector)
    if gone:
        (detector / name).unlink()
    else:
        flip(detector / name)
    with pytest.raises((DamagedFileError, FileNotFoundError), match=name):
        load_detector(detector)


def test_what_cannot_be_added_to_is_refused_before_anything_is_written(folder, tmp_path):
    with pytest.raises(UserError, match="no detector for class 'bad'"):
        orchestrator.extend(folder / "further", folder / "added", out=tmp_path / "x", target="bad")
    with pytest.raises(UserError, match="the folder is not empty"):
        orchestrator.extend("run", folder / "added", out=folder / "further", storage=folder / "runs")
    with pytest.raises(UserError, match="give --tracking-uri"):
        orchestrator.export(folder / "further", "mlflow", tmp_path / "x", register="name")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="cannot be read"):
        orchestrator.extend("run", tmp_path / "broken", out=tmp_path / "x", storage=folder / "runs")
    assert not (tmp_path / "x").exists()


def test_a_method_that_cannot_is_refused_by_name(tmp_path):
    for number in range(20):
        write_image(tmp_path / "photos" / "good" / f"{number}.png", (16, 16))
    data = Data(name="folder", path=str(tmp_path / "photos"), side=16)
    space = Space(workload="examples.own_method:Gaussian", data=data)
    run = orchestrator.launch(space, storage=tmp_path / "runs", name="run", executor="local")
    with pytest.raises(UserError, match="does not carry code of your own"):
        orchestrator.extend(run, tmp_path / "photos", out=tmp_path / "x")
