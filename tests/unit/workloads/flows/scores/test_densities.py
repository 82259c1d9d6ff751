"""Scores of flows: signs, one formula for each, failures that never look normal, and the complexity's byte counts."""

import math
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.helpers.learners import TARGET, TINY, general_flow, noise, run, target_flow, view
from workloads.errors import UserError
from workloads.flows.bits import bin_centres
from workloads.flows.config import Codec
from workloads.flows.networks.terms import Terms
from workloads.flows.scores.complexity import code_length
from workloads.flows.scores.densities import Densities, density_scores, failures
from workloads.scoring.table import FAILED


def densities(contributions: list[list[float]]) -> Densities:
    flow = torch.tensor(contributions)
    return Densities.of(Terms(flow, torch.zeros_like(flow), torch.zeros_like(flow), ()))


def test_the_ratio_of_a_flow_with_itself_is_exactly_zero() -> None:
    given = view()
    general = general_flow(TINY, given)
    own = target_flow(TINY, given, general.artifact())  # starts from the general flow's weights
    scores = own.score(noise(40, 9))
    assert np.all(scores["ratio"] == 0)
    assert np.all(scores["final_scale_ratio"] == 0)
    assert np.array_equal(scores["likelihood"], scores["general_likelihood"])


def test_scores_are_those_of_the_flows_own_terms() -> None:
    given = view()
    learner = target_flow(TINY, given, general_flow(TINY, given).artifact())
    run(learner, TARGET, given.train, range(2))
    images = noise(5, 9)
    scores = learner.score(images)
    with torch.inference_mode():
        own, general = (net.eval()(bin_centres(images)) for net in (learner.net, learner.general))
    expected = {
        "likelihood": 8 - own.log_prob / (64 * math.log(2)),
        "general_likelihood": 8 - general.log_prob / (64 * math.log(2)),
        "ratio": general.log_prob - own.log_prob,
        "final_scale": -own.contributions[:, 1],
        "final_scale_ratio": general.contributions[:, 1] - own.contributions[:, 1],
        "scale_1": -own.contributions[:, 0],
        "latent_1": -own.latent[:, 0],
        "latent_2": -own.latent[:, 1],
    }
    lengths = code_length(images, "png")
    expected |= {"complexity": expected["likelihood"] - lengths, "complexity_only": lengths}
    assert set(scores) == set(expected)
    for name, values in expected.items():
        assert scores[name].dtype == np.float32
        np.testing.assert_allclose(scores[name], values.double().numpy(), rtol=1e-5, atol=1e-3, err_msg=name)


def test_an_image_scores_the_same_in_any_company() -> None:
    given = view()
    learner = target_flow(TINY, given, general_flow(TINY, given).artifact())
    run(learner, TARGET, given.train, range(2))
    images = noise(150, 9)
    whole, alone = learner.score(images), learner.score(images[140:141])
    for name, scores in whole.items():
        np.testing.assert_allclose(alone[name], scores[140:141], rtol=1e-5, atol=1e-3, err_msg=name)


def test_images_are_brought_to_the_flows_shape_and_what_is_none_is_refused() -> None:
    given = view()
    learner = target_flow(TINY, given, general_flow(TINY, given).artifact())
    grey = noise(3, 9)
    np.testing.assert_allclose(
        learner.score(grey.expand(-1, 3, -1, -1))["likelihood"], learner.score(grey)["likelihood"], rtol=1e-6
    )
    assert {len(scores) for scores in learner.score(grey[:0]).values()} == {0}
    assert len(learner.score(noise(2)[..., :4])["likelihood"]) == 2
    for wrong in (noise(2).float(), noise(2).expand(-1, 2, -1, -1)):
        with pytest.raises(UserError):
            learner.score(wrong)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_failure_of_either_flow_is_the_most_anomalous_of_all(broken: float) -> None:
    fine, worse, failed = [10.0, 20.0], [-3e5, 20.0], [broken, 20.0]
    own, general = densities([fine, worse, failed, fine]), densities([fine, fine, fine, failed])
    scores = density_scores(own, general, torch.ones(4), 64)
    assert failures(own, general) == 2
    assert failures(own, None) == 1
    for name in ("likelihood", "final_scale", "scale_1", "latent_1", "complexity"):
        assert scores[name][2] == FAILED > scores[name][1] >= scores[name][0]
        assert scores[name][3] == scores[name][0]
    for name in ("ratio", "final_scale_ratio"):
        assert scores[name][2] == scores[name][3] == FAILED > scores[name][0]
    assert scores["general_likelihood"][3] == FAILED
    assert not any(np.isnan(values).any() for values in scores.values())


def test_a_large_score_is_a_score_and_no_failure() -> None:
    low = [[-3e9, 20.0], [-5e9, 20.0], [-1e38, 20.0]]
    scores = density_scores(densities(low), None, torch.ones(3), 64)["scale_1"]
    assert scores[0] < scores[1] < scores[2] < FAILED


def test_failures_are_counted_and_said() -> None:
    given = view()
    learner = target_flow(TINY, given, general_flow(TINY, given).artifact())
    with torch.no_grad():
        learner.general.body.tails[0].shift.fill_(math.nan)
    with pytest.warns(UserWarning, match="5 of 5 images have no finite likelihood"):
        scores = learner.score(noise(5))
    assert learner.failed == 5
    assert np.all(scores["ratio"] == FAILED)
    assert np.isfinite(scores["likelihood"]).all()


def png_bytes(image: Tensor) -> int:
    """The length of a PNG that Pillow writes, counted chunk by chunk as the format's own rules have them."""
    stream = BytesIO()
    array = image.movedim(0, -1).numpy()
    Image.fromarray(array if array.shape[-1] == 3 else array[..., 0]).save(stream, "PNG", compress_level=9)
    data, at, pixels = stream.getvalue(), 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            pixels += data[at + 8 : at + 8 + length]
        at += 12 + length
    rows = zlib.decompress(pixels)
    assert len(rows) == image.shape[1] * (image.shape[0] * image.shape[2] + 1)  # a filter byte a row
    return at


@pytest.mark.parametrize("channels", [1, 3])
def test_the_png_length_is_that_of_the_file(channels: int) -> None:
    images = noise(6, 3, channels)
    expected = [8 * png_bytes(image) / images[0].numel() for image in images]
    assert code_length(images, "png").tolist() == pytest.approx(expected)


@pytest.mark.parametrize("codec", ["png", "jpeg2000", "webp"])
def test_noise_takes_more_bits_than_a_flat_image_by_every_codec(codec: Codec) -> None:
    both = torch.cat([torch.full((1, 3, 32, 32), 90, dtype=torch.uint8), torch.randint(256, (1, 3, 32, 32)).byte()])
    flat, noisy = code_length(both, codec).tolist()
    assert noisy > 8  # a codec without loss cannot do better
    assert flat < 1.5
