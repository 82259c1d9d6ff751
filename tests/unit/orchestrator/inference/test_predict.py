"""Decisions on anyone's files: rows, formats, what is broken, maps, and every way to ask wrongly."""

import json
import os
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from PIL import Image

import orchestrator
import workloads
from examples.own_method import Gaussian
from orchestrator.inference import at_scale
from orchestrator.inference.overlays import STRONGEST, overlay
from orchestrator.inference.predict import latency_of, predict_images
from orchestrator.inference.shift import shift_of
from orchestrator.inference.sources import file_under, images_at
from tests.helpers.commands import orchestrate
from tests.helpers.launches import TINY_MLSAD
from workloads.errors import UserError
from workloads.scoring.thresholds import HeldOut

SIDE = 16


def pictures(count, seed, bright=0):
    noise = np.random.default_rng(seed).normal(120 + bright, 20, (count, SIDE, SIDE, 3))
    return noise.clip(0, 255).astype(np.uint8)


def saved(folder, images, name="{:03d}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / name.format(number))
    return folder


@pytest.fixture(scope="module")
def detector():
    return workloads.fit(Gaussian, pictures(60, 0)).calibrated(pictures(99, 1))


@pytest.fixture
def folder(tmp_path):
    """Ten normal images, two bright ones below them, a broken one and one that is no image."""
    saved(tmp_path / "new", pictures(10, 2))
    saved(tmp_path / "new" / "below", pictures(2, 3, bright=80))
    (tmp_path / "new" / "005a.png").write_bytes(b"no image")
    (tmp_path / "new" / "notes.txt").write_text("x")
    return tmp_path / "new"


def read(path):
    if path.suffix == ".jsonl":
        return pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def test_a_latency_is_of_images_alone_and_of_those_that_can_be_read(detector, folder, monkeypatch):
    slow, asked = 0.02, []
    score = type(detector.method).score

    def slowed(self, fitted, images):
        asked.append(len(images))
        time.sleep(slow)
        return score(self, fitted, images)

    monkeypatch.setattr(type(detector.method), "score", slowed)
    median, slowest = latency_of(detector, images_at([str(folder)]).images)
    assert asked == [1] * 12
    assert slow <= median <= slowest


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_row_an_image_in_the_format_that_the_ending_says(detector, folder, tmp_path, ending):
    made = predict_images(detector, [str(folder)], tmp_path / f"out{ending}", false_alarms=0.05)
    assert made.counts == {"normal": 10, "anomalous": 2, "unreadable": 1}
    rows = read(made.out)
    names = [f"{n:03d}.png" for n in range(6)] + ["005a.png"] + [f"{n:03d}.png" for n in range(6, 10)]
    assert rows["image"].tolist() == [*names, "below/000.png", "below/001.png"]
    readable = rows[rows["decision"] != "unreadable"]
    files = [folder / name for name in readable["image"]]
    assert readable["score"].astype(np.float32).tolist() == detector.score(files).tolist()
    expected = detector.predict(files, 0.05)
    assert readable["p_value"].tolist() == pytest.approx(expected.p_values.tolist())
    assert (readable["decision"] == "anomalous").tolist() == expected.anomalous.tolist()
    (broken,) = rows[rows["decision"] == "unreadable"].to_dict("records")
    assert "UnidentifiedImageError" in broken["problem"]
    assert pd.isna(broken["score"])
    assert [row["image"] for row in made.highest[:2]] == sorted(
        ["below/000.png", "below/001.png"], key=lambda name: -readable.set_index("image")["score"][name]
    )
    unused = [(item.count, item.names[0].split()[0]) for item in made.account.left_out]
    assert unused == [(1, "notes.txt"), (1, "005a.png")]
    assert sorted(os.listdir(tmp_path)) == ["new", f"out{ending}"], "no half-written file is left"


def test_files_folders_archives_and_uris_score_alike(detector, tmp_path):
    import fsspec

    folder = saved(tmp_path / "photos", pictures(3, 5))
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(folder, "inside")
    memory = fsspec.filesystem("memory")
    for file in folder.iterdir():
        memory.pipe(f"/photos/{file.name}", file.read_bytes())
    memory.pipe("/photos/notes.txt", b"x")
    places = [str(folder), str(folder / "000.png"), str(tmp_path / "photos.tar"), "memory://photos"]
    made = predict_images(detector, places, tmp_path / "all.csv", false_alarms=0.1)
    rows = read(made.out)
    expected = detector.score([folder / f"{n:03d}.png" for n in range(3)]).tolist()
    assert rows["score"].astype(np.float32).tolist() == [*expected, expected[0], *expected, *expected]
    assert len(set(rows["image"])) == 9, "the file in its folder is named twice, and is the same image"
    assert rows["image"][3] == str(folder / "000.png")
    assert rows["image"].tolist()[-1] == "memory://photos/002.png"
    assert [item.names for item in made.account.left_out] == [("memory://photos/notes.txt",)]
    with pytest.raises(UserError, match="no images"):
        predict_images(detector, ["memory://nothing"], tmp_path / "none.csv")


def test_names_that_are_no_utf_8_are_written(detector, tmp_path):
    folder = os.fsencode(saved(tmp_path / "photos", pictures(2, 6)))
    os.rename(folder + b"/001.png", folder + b"/br\xfccke.png")
    for ending in ("csv", "jsonl", "parquet"):
        made = predict_images(detector, [os.fsdecode(folder)], tmp_path / f"out.{ending}", false_alarms=0.5)
        assert read(made.out)["image"].tolist() == ["000.png", "br\\xfccke.png"]
    odd = tmp_path / "a?b%20#;c"
    saved(odd, pictures(1, 6))
    assert predict_images(detector, [str(odd)], tmp_path / "odd.csv", false_alarms=0.5).counts["normal"] == 1


@pytest.mark.parametrize("out", ["scores", "scores.txt", "scores.cvs", "s3://bucket/x.csv"])
def test_an_ending_that_says_no_format_is_refused_before_anything_is_scored(detector, folder, out):
    with pytest.raises(UserError) as caught:
        predict_images(detector, [str(folder)], out)
    assert ".csv" in caught.value.fix
    assert out in caught.value.where


def test_a_folder_to_write_to_is_refused(detector, folder, tmp_path):
    with pytest.raises(UserError, match="a folder cannot be written to"):
        predict_images(detector, [str(folder)], tmp_path)


def test_broken_images_end_a_strict_prediction_once_all_is_written(detector, folder, tmp_path):
    with pytest.raises(UserError, match="1 of 13 images cannot be read") as caught:
        predict_images(detector, [str(folder)], tmp_path / "out.csv", strict=True)
    assert caught.value.details.startswith("005a.png (UnidentifiedImageError")
    assert "cannot be read" not in caught.value.details, "the headline has it"
    assert len(read(tmp_path / "out.csv")) == 13
    only = folder / "005a.png"
    with pytest.raises(UserError, match="none of the 1 images can be read"):
        predict_images(detector, [str(only)], tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_other_normals_and_labelled_defects_set_the_threshold(detector, folder, tmp_path):
    normals = saved(tmp_path / "normals", pictures(30, 8))
    defects = saved(tmp_path / "defects", pictures(5, 9, bright=80))
    made = predict_images(detector, [str(folder)], tmp_path / "a.csv", false_alarms=0.1, normals=[str(normals)])
    assert (made.threshold.count, made.threshold.rests_on) == (30, "normal images that were handed over")
    made = predict_images(detector, [str(folder)], tmp_path / "b.csv", defects=[str(defects)])
    assert made.threshold.false_alarms is None
    assert made.threshold.rests_on.startswith("5 labelled defects")
    assert made.counts["anomalous"] == 2
    with pytest.raises(UserError, match="either labelled defects"):
        predict_images(detector, [str(folder)], tmp_path / "c.csv", defects=[str(defects)], false_alarms=0.1)


def test_maps_and_overlays_are_of_the_images_size_and_stay_in_their_folder(tmp_path):
    with pytest.raises(UserError, match="gives no maps"):
        predict_images(
            workloads.fit(Gaussian, pictures(20, 0)).calibrated(pictures(20, 1)),
            [str(saved(tmp_path / "a", pictures(1, 0)))], tmp_path / "a.csv", false_alarms=0.1, maps=tmp_path / "maps",
        )  # fmt: skip
    mlsad = workloads.fit("mlsad", pictures(12, 0), TINY_MLSAD).calibrated(pictures(12, 1))
    wide = np.random.default_rng(4).integers(0, 256, (SIDE, 3 * SIDE, 3), np.uint8)
    folder = saved(saved(tmp_path / "photos" / "inner", [wide]).parent, pictures(1, 2))
    predict_images(mlsad, [str(folder)], tmp_path / "b.csv", false_alarms=0.5, maps=tmp_path / "maps")
    for name, size in (("000.png", (SIDE, SIDE)), ("inner/000.png", (SIDE, 3 * SIDE))):
        raw = np.load(tmp_path / "maps" / f"{name}.npy")
        assert (raw.dtype, raw.shape) == (np.float32, size)
        (expected,) = mlsad.maps([folder / name])
        np.testing.assert_allclose(raw, expected, rtol=1e-5)  # another batch
        assert np.asarray(Image.open(tmp_path / "maps" / f"{name}.overlay.png")).shape == (*size, 3)
    assert file_under(Path("maps"), "/../../etc/x.png", ".npy") == Path("maps/_/_/_/etc/x.png.npy")


def test_an_overlay_colours_what_scores_high_and_little_of_a_likely_image():
    image = np.full((3, 8, 8), 100, np.uint8)
    values = np.zeros((8, 8), np.float32)
    values[2, 3] = 1
    coloured = overlay(image, values, share=0.01)
    changed = (coloured != 100).any(2)
    assert np.argwhere(changed).tolist() == [[2, 3]]
    assert (overlay(image, values, share=1.0) == 100).all()


def test_an_overlay_is_strongest_however_few_held_out_normals_there_are():
    normals = HeldOut(np.arange(9, dtype=np.float32))
    assert normals.p_values(np.array([20], np.float32)).tolist() == [0.1]
    assert normals.share_above(20) == 0
    assert normals.share_above(8) == pytest.approx(1 / 9)
    assert normals.share_above(-1) == 1
    values = np.zeros((8, 8), np.float32)
    values[2, 3] = 1
    grey, colour = np.full((3, 8, 8), 100, np.uint8), np.array(colormaps["plasma"](1.0)[:3]) * 255
    pixel = overlay(grey, values, normals.share_above(20))[2, 3]
    assert pixel.tolist() == np.round(100 * (1 - STRONGEST) + colour * STRONGEST).tolist()


def test_an_overlay_of_twelve_bits_is_as_bright_as_the_detector_sees_it(tmp_path):
    deep = np.random.default_rng(0).integers(1000, 3000, (SIDE, SIDE), np.uint16)
    (tmp_path / "photos").mkdir()
    Image.fromarray(deep).save(tmp_path / "photos" / "a.png")
    detector = replace(workloads.fit("mlsad", pictures(12, 0), TINY_MLSAD), white_level=4095).calibrated(pictures(9, 1))
    predict_images(detector, [str(tmp_path / "photos")], tmp_path / "a.csv", false_alarms=0.5, maps=tmp_path / "maps")
    shown = np.asarray(Image.open(tmp_path / "maps" / "a.png.overlay.png")).mean()
    assert shown > 0.7 * (deep / 4095 * 255).mean(), "colours hide a part of it"


def test_a_shift_and_a_trend_are_said_and_their_absence_is_not():
    generator = np.random.default_rng(0)
    normals = HeldOut(generator.normal(size=300).astype(np.float32))
    assert shift_of(generator.normal(size=400), normals).remarks == []
    (line,) = shift_of(generator.normal(0.7, size=400), normals).remarks
    assert "do not score as the held-out normal ones do" in line
    drifting = shift_of(generator.normal(np.linspace(-1, 1, 400)), normals)
    assert "scores rise with the order" in drifting.remarks[-1]
    assert drifting.above[0] < 0.3 < 0.7 < drifting.above[-1]
    assert shift_of(np.zeros(19), normals) is None
    assert shift_of(np.zeros(30), normals).trend_p == 1


def test_a_job_on_a_cluster_is_given_the_words_by_whole_paths(monkeypatch):
    submitted = []
    monkeypatch.setattr(at_scale, "submit_words", lambda words, run, address: submitted.append((words, address)))
    options = {"target": "good", "false_alarms": 0.05, "out": "s3://b/out", "maps": None, "normals": ["n"],
               "defects": None, "strict": True, "storage": "/shared/runs", "trust_code": False}  # fmt: skip
    at_scale.submit_prediction("run", ["new"], "http://head:8265", options)
    ((words, address),) = submitted
    assert address == "http://head:8265"
    assert words == [
        "predict", "run", os.path.abspath("new"), "--class", "good", "--false-alarms", "0.05", "--out", "s3://b/out",
        "--normals", os.path.abspath("n"), "--strict", "--storage", "/shared/runs", "--address", "auto", "--plain",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"--storage and --out say"):
        at_scale.submit_prediction("run", ["new"], "http://head:8265", options | {"storage": "runs", "out": None})


def test_a_job_with_a_detectors_folder_needs_no_storage_and_prints_no_json(tmp_path, monkeypatch):
    submitted = []
    monkeypatch.setattr(at_scale, "submit_words", lambda words, run, address: submitted.append(words))
    (tmp_path / "detector.json").write_text("{}")
    options = {"out": "s3://b/out", "maps": None, "normals": None, "defects": None, "storage": "runs", "quiet": True}
    at_scale.submit_prediction(str(tmp_path), ["new"], "http://head:8265", options)
    assert submitted[0][:2] == ["predict", str(tmp_path)]
    assert "--quiet" in submitted[0]
    done = orchestrate("predict", tmp_path, "new", "--out", "s3://b/out", "--address", "http://head:8265", "--json")
    assert done.returncode == 2
    assert "is its log, and no JSON" in done.stderr


def test_the_plan_at_scale_knows_places_sizes_and_maps(tmp_path):
    def plan(day, maps=None):
        source, normals = at_scale.Source("run", str(tmp_path), None), HeldOut(np.arange(9, dtype=np.float32))
        work = at_scale.Work(source, normals, normals.threshold(0.1), str(tmp_path / "out"), maps)
        return at_scale.plan_of(work, at_scale.on_all_nodes(images_at([str(day)])).images)

    monday, tuesday = (saved(tmp_path / day, pictures(3, 0)) for day in ("monday", "tuesday"))
    assert plan(monday) == plan(monday)
    assert plan(monday)["images"] != plan(tuesday)["images"], "equal names"
    assert plan(monday) != plan(monday, maps=str(tmp_path / "maps"))
    before = plan(monday)
    (monday / "001.png").write_bytes(b"another size")
    assert plan(monday) != before


def test_maps_at_a_uri_are_refused(detector, folder, tmp_path):
    with pytest.raises(UserError, match="maps are written to a local folder"):
        predict_images(detector, [str(folder)], tmp_path / "out.csv", maps="s3://bucket/maps")


def test_at_scale_a_folder_is_written(tmp_path):
    with pytest.raises(UserError, match="a dataset of many parts"):
        at_scale.checked_folder("out.csv")
    with pytest.raises(UserError, match="is no cluster's"):
        at_scale.predict_at_scale(at_scale.Source("run", str(tmp_path), None), ["new"], str(tmp_path / "out"), "head")


def test_a_device_is_for_this_machine_alone(tmp_path):
    with pytest.raises(UserError, match="workers of a cluster choose their devices"):
        orchestrator.predict("run", tmp_path, false_alarms=0.1, storage=tmp_path, address="local", device="cpu")
