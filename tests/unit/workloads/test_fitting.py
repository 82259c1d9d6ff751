"""Training without a run: every method of an array alone, and every array that is none."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import workloads
from workloads.detector import channels_first
from workloads.errors import Kind, UserError
from workloads.key_types import configured
from workloads.keys import key
from workloads.method import FittedMethod
from workloads.mlsad.method import MLSAD

ROOT = Path(__file__).parents[3]
LEVELS = {"width": 0.0625, "levels": [1, 2], "generator_epochs": 0.25, "detector_epochs": 0.25, "bank_size": 32}
FLOW = {"steps": 1, "hidden": 8, "epochs": 1, "batch_size": 16, "init_batches": 1}
ALONE = FLOW | {"hierarchy": "none", "from_general": False, "score": "likelihood"}
GENERAL = FLOW | {"general_epochs": 0.5, "general_batch_size": 16}
METHODS = {"mlsad": LEVELS, "flow": ALONE, "klods": FLOW}


def pixels(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def detectors():
    """Of grey noise, by method: trained once for all tests here."""
    torch.set_num_threads(1)
    images = pixels(40, 16, 16)
    fitted = {name: workloads.fit(name, images, config) for name, config in METHODS.items()}
    return fitted | {"general": workloads.fit("flow", images, GENERAL, auxiliary=pixels(30, 20, 18, 3, seed=2))}


@pytest.mark.parametrize("method", [*METHODS, "general"])
def test_every_method_scores_grey_and_colour_of_any_size(detectors, method):
    detector = detectors[method]
    assert (detector.target, detector.shape.channels, detector.shape.side) == ("normal", 1, 16)
    images = pixels(5, 16, 16, seed=1)
    scores = detector.score(images)
    assert (scores.dtype, scores.shape) == (np.float32, (5,))
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(detector.score(np.repeat(images[..., None], 3, 3)), scores, rtol=1e-4, atol=1e-4)
    assert detector.score(pixels(2, 40, 30, 3)).shape == (2,)
    assert detector.score(images[:0]).shape == (0,)
    parts = detector.parts(images)
    assert all(values.shape == (5,) for values in parts.values())
    np.testing.assert_array_equal(detector.method.combine(parts), scores)


def test_the_parts_are_the_methods(detectors):
    images = pixels(2, 16, 16)
    assert set(detectors["mlsad"].parts(images)) == {"level_1", "level_2"}
    assert "ratio" in detectors["general"].parts(images)
    assert "ratio" not in detectors["flow"].parts(images)
    assert "klods_prior/1" in detectors["klods"].parts(images)
    assert any("without D_4" in remark for remark in detectors["mlsad"].remarks)


def test_maps_are_the_mean_of_the_parts_that_have_them(detectors):
    images = pixels(3, 20, 20, seed=3)
    detector = detectors["mlsad"]
    maps = np.stack(detector.maps(images))
    assert (maps.dtype, maps.shape) == (np.float32, (3, 20, 20))
    assert detector.maps(images[:0]) == []
    one_level = MLSAD(replace(detector.method.config, map_levels=(2,)))
    scores = replace(detector, method=one_level).parts(images)["level_2"]
    level_2 = np.stack(replace(detector, method=one_level).maps(images))
    assert ((level_2.min((1, 2)) <= scores) & (scores <= level_2.max((1, 2)))).all()
    level_1 = np.stack(replace(detector, scorers=detector.scorers[:1]).maps(images))
    np.testing.assert_allclose(maps, (level_2 + level_1) / 2, atol=1e-6)
    with pytest.raises(UserError, match="no maps"):
        detectors["flow"].maps(images)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_call_gives_the_same_scores_and_another_seed_others(detectors, method):
    images, tested = pixels(40, 16, 16), pixels(4, 16, 16, seed=1)
    torch.manual_seed(7)
    again = workloads.fit(method, images[..., None], METHODS[method]).score(tested)
    np.testing.assert_array_equal(again, detectors[method].score(tested))
    assert (workloads.fit(method, images, METHODS[method] | {"seed": 1}).score(tested) != again).any()


def test_colour_images_make_a_colour_detector_that_scores_files(tmp_path):
    detector = workloads.fit("mlsad", pixels(24, 16, 16, 3), LEVELS | {"levels": [1]})
    assert detector.shape.channels == 3
    images = pixels(3, 16, 16, 3, seed=3)
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    np.testing.assert_allclose(detector.score(files), detector.score(images), rtol=1e-5)
    np.testing.assert_allclose(detector.score(map(str, files)), detector.score(images), rtol=1e-5)
    files[1].write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.png"):
        detector.score(files)


def test_progress_is_told_network_by_network():
    told = []
    workloads.fit("mlsad", pixels(24, 16, 16), LEVELS | {"levels": [1, 4]}, progress=lambda *note: told.append(note))
    done = [note[0] for note in told]
    assert done == sorted(done)
    assert done[-1] == told[-1][1] == 3
    assert {note[2] for note in told} == {"generator level_2", "detector level_1", "detector level_4"}


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (pixels(8, 16, 16).astype(np.float32), "astype"),
        (pixels(8, 16, 16) > 5, "uint8"),
        (pixels(16, 16)[None][0], "images[None]"),
        (pixels(8, 3, 16, 16), "transpose(0, 2, 3, 1)"),
        (pixels(8, 16, 16, 4), "[..., :3]"),
        (pixels(8, 16), "N, H, W"),
        (pixels(1, 16, 16), "held out"),
        (pixels(0, 16, 16), "held out"),
        ([pixels(16, 16)], "NumPy array"),
        (pixels(8, 16, 20), "square"),
        (pixels(8, 12, 12), "power of two"),
    ],
)
def test_other_arrays_are_refused_with_the_fix(images, hint):
    with pytest.raises(UserError) as refused:
        workloads.fit("mlsad", images, LEVELS)
    assert hint in str(refused.value)


def test_everything_wrong_with_a_config_is_named_at_once():
    wrong = {"nois": 1, "batch_size": "8", "levels": [1, 3], "position": "x", "noise": -1, "adam_betas": (0.5,)}
    with pytest.raises(UserError) as refused:
        configured(MLSAD, wrong)
    assert {problem.key for problem in refused.value.problems} == wrong.keys()
    assert "'noise'" in str(refused.value)
    assert "'in_range', 'grid', 'uniform'" in str(refused.value)


def test_values_are_converted_as_a_space_converts_them():
    config = configured(MLSAD, {"levels": [1, 2], "noise": 0, "batch_size": np.int64(4), "grey_as_rgb": False})
    assert (config.levels, config.noise, config.batch_size, config.grey_as_rgb) == ((1, 2), 0.0, 4, False)
    assert type(config.noise) is float
    assert type(config.batch_size) is int


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UserError, match="'mlsad'"):
        workloads.fit("mlsd", pixels(8, 16, 16))


def test_a_flow_with_a_general_flow_asks_for_auxiliary_images():
    with pytest.raises(UserError, match="auxiliary"):
        workloads.fit("flow", pixels(8, 16, 16), FLOW)


def test_training_that_diverges_says_so():
    with pytest.raises(UserError, match="lower learning rate") as failed:
        workloads.fit("flow", pixels(40, 16, 16), ALONE | {"lr": 1e30, "skip_limit": 1, "epochs": 20})
    assert failed.value.kind == Kind.FAILED


def test_fitting_works_without_the_orchestra():
    code = (
        "import sys\n"
        "for name in ('ray', 'mlflow', 'pydantic', 'typer', 'rich', 'orchestrator'):\n"
        "    sys.modules[name] = None\n"
        "import numpy, workloads\n"
        "images = numpy.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=numpy.uint8)\n"
        f"print(len(workloads.fit('mlsad', images, {LEVELS | {'levels': [1]}}).score(images)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "20", done.stderr


def test_arrays_become_channels_first():
    images = pixels(2, 4, 5, 3)
    assert channels_first(images).shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(channels_first(images)[1, 2], images[1, :, :, 2])
    assert channels_first(images[..., 0]).shape == (2, 1, 4, 5)


@dataclass(frozen=True)
class Weight:
    power: float = key(1.0, above=0)
    seed: int = key(0)


class Distance(FittedMethod):
    """The mean distance of an image to the mean image."""

    name, Config = "distance", Weight

    def fit(self, images):
        return {"mean": images.float().mean(0)}

    def score(self, fitted, images):
        return (images.float() - fitted["mean"]).abs().pow(self.config.power).mean((1, 2, 3))


def test_a_method_of_ones_own_is_fitted_by_its_class(tmp_path):
    images = pixels(20, 16, 12)  # nothing asks for squares
    detector = workloads.fit(Distance, images, {"power": 2})
    images[0] = 255 - images[0]
    expected = (images.astype(float) - detector.scorers[0].state()["mean"][0].numpy()) ** 2
    np.testing.assert_allclose(detector.score(images), expected.mean((1, 2)), rtol=1e-4)
    with pytest.raises(UserError, match="above 0"):
        workloads.fit(Distance, images, {"power": 0})
    Image.fromarray(images[1]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(detector.score([tmp_path / "a.png"]), detector.score(images[1:2]))


def test_a_long_image_scores_as_its_worst_window_and_its_map_is_of_its_size():
    detector = replace(workloads.fit(Distance, pixels(20, 16, 16)), fit="tiles")
    long = pixels(1, 24, 70)[0]
    long[4:20, 60:] = 255  # at its end
    windows = [long[top : top + 16, left : left + 16] for top in (0, 8) for left in (0, 14, 27, 40, 54)]
    scores = detector.score(np.stack(windows))
    assert scores.argmax() in (4, 9)
    assert detector.score(long[None]).tolist() == detector.score([long]).tolist() == [scores.max()]
    assert [len(values) for values in detector.parts([long, windows[0]]).values()] == [2]
    many = [long, *pixels(300, 16, 16), long]
    together = [item.score for item in detector.inspect(many)]
    np.testing.assert_allclose(together, [detector.score([image])[0] for image in many], rtol=1e-6)


def test_a_map_of_a_long_image_is_stitched(detectors):
    detector = replace(detectors["mlsad"], fit="tiles")
    long = pixels(1, 20, 44, seed=4)[0]
    (whole,) = detector.maps([long])
    assert whole.shape == (20, 44)
    first, last = (detector.maps(part[None])[0] for part in (long[:16, :16], long[4:, 28:]))
    np.testing.assert_allclose(whole[:4, :14], first[:4, :14], atol=1e-6)  # no other window looks there
    np.testing.assert_allclose(whole[16:, 30:], last[12:, 2:], atol=1e-6)
