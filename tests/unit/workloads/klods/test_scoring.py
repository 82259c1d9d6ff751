"""Group scores: the Gaussian KL and its null law, splits, regularisers, groups, and the whole on latents."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf

from tests.helpers.correlated import neighbours, white
from workloads.errors import UserError
from workloads.keys import config_problems
from workloads.klods import calibration
from workloads.klods.config import KlodsConfig
from workloads.klods.groups import form, partition
from workloads.klods.scoring import fit, group_kl
from workloads.klods.splitting import vectors
from workloads.klods.statistics import god
from workloads.klods.statistics.gaussian import Whitening, kl_to_standard, moments, regularised
from workloads.klods.statistics.null_law import degrees_of_freedom, mean_kl, p_values

CONFIG = KlodsConfig()


def vectors_of(count, n, m, seed=0):
    return torch.randn(count, n, m, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def kl_of(groups):
    return kl_to_standard(*moments(groups)).numpy()


@pytest.mark.parametrize(("m", "n", "measured"), [(3, 256, 0.0176), (12, 256, 0.180), (12, 64, 0.757), (16, 48, 1.83)])
def test_mean_of_the_null_law(m, n, measured):
    assert mean_kl(n, m) == pytest.approx(measured, rel=0.01)
    assert kl_of(vectors_of(3000, n, m)).mean() == pytest.approx(mean_kl(n, m), rel=0.02)
    assert mean_kl(10**6, m) == pytest.approx(degrees_of_freedom(m) / 2e6, rel=1e-4)


@pytest.mark.parametrize(("n", "m"), [(192, 4), (64, 12), (48, 16)])
def test_p_values_of_the_null_are_uniform(n, m):
    p = p_values(kl_of(vectors_of(4000, n, m))[None], [(n, m)])
    for alpha in (0.01, 0.05, 0.5):
        assert (p < alpha).mean() == pytest.approx(alpha, abs=4 * (alpha * (1 - alpha) / len(p)) ** 0.5)


def test_levels_add_up_under_the_null_law():
    kl = np.stack([kl_of(vectors_of(4000, 192, 4, 1)), kl_of(vectors_of(4000, 64, 12, 2))])
    assert (p_values(kl, [(192, 4), (64, 12)]) < 0.05).mean() == pytest.approx(0.05, abs=0.014)


def test_whitened_kl_is_the_kl_between_the_two_gaussians():
    mixing = torch.tensor([[2.0, 0, 0], [0.5, 1, 0], [-1, 0.3, 0.4]], dtype=torch.float64)
    train = vectors_of(1, 500, 3)[0] @ mixing.mT + torch.tensor([5.0, -3, 100])
    group = vectors_of(7, 40, 3, 1) @ mixing.mT + torch.tensor([5.2, -3, 99])
    whitening = Whitening.fit(train.split(77))
    mean0, cov0 = moments(train)
    ours = torch.distributions.MultivariateNormal(*moments(group))
    theirs = torch.distributions.MultivariateNormal(mean0, cov0)
    torch.testing.assert_close(
        kl_to_standard(*moments(whitening(group))),
        torch.distributions.kl_divergence(ours, theirs),
        rtol=1e-9,
        atol=1e-9,
    )


def test_ledoit_wolf_is_scikit_learn_s():
    groups = vectors_of(5, 9, 12) * torch.linspace(0.2, 3, 12) + 1
    mean, covs = regularised(groups, "ledoit_wolf", 0)
    for group, cov in zip(groups, covs, strict=True):
        np.testing.assert_allclose(cov, sklearn_ledoit_wolf(group.numpy())[0], rtol=1e-10)
    assert torch.isfinite(kl_to_standard(mean, covs)).all()


@pytest.mark.parametrize(
    ("split", "size", "together"),
    [
        ("patches_2", 4, (0, 1, 4, 5)),
        ("patches_4", 16, range(16)),
        ("channels", 8, range(0, 128, 16)),
        ("groups_2", 2, (0, 16)),
        ("squeeze", 4, (0, 16, 32, 48)),
    ],
)
def test_a_split_keeps_every_number_and_holds_what_it_says(split, size, together):
    latents = torch.arange(2 * 8 * 16.0).view(2, 8, 4, 4)
    found = vectors(latents, split)
    assert found.shape == (2, 128 // size, size)
    assert found[0, 0].tolist() == list(together)
    for image, cut in zip(latents, found, strict=True):
        assert sorted(cut.flatten().tolist()) == image.flatten().tolist()


def test_squeezing_turns_patches_into_adjacent_channels():
    latents = torch.randn(3, 5, 8, 8)
    squeezed = torch.nn.functional.pixel_unshuffle(latents, 2)
    for one, other in zip(vectors(latents, "patches_2"), vectors(squeezed, "squeeze"), strict=True):
        assert sorted(one.tolist()) == sorted(other.tolist())


@pytest.mark.parametrize("regulariser", ["none", "shrinkage", "ledoit_wolf"])
def test_a_group_is_a_set_and_a_batch_is_a_loop(regulariser):
    level = neighbours(60, (4, 8, 8), 0.3, 0)
    members = torch.from_numpy(partition(60, 5, 0, "x"))
    config = replace(CONFIG, regulariser=regulariser)
    batched = group_kl(level, members, config, block=3000)  # a few groups at a time, the last piece smaller
    shuffled = group_kl(level, members.flip(1), config)
    torch.testing.assert_close(batched, shuffled, rtol=1e-11, atol=0)
    for rows, score in zip(members, batched, strict=True):
        alone = torch.cat([vectors(level[row], "patches_2") for row in rows])
        torch.testing.assert_close(
            kl_to_standard(*regularised(alone, regulariser, config.shrinkage)), score, rtol=1e-11, atol=0
        )


def test_scores_do_not_depend_on_what_else_is_scored():
    fitted = fit([white(50, (4, 4, 4), 0)], CONFIG)
    prepared = fitted.prepare([white(40, (4, 4, 4), 1)])
    members = partition(40, 5, 0, "x")
    whole, half = dict(prepared.scores(members)), dict(prepared.scores(members[::2]))
    for part, scores in whole.items():
        np.testing.assert_allclose(scores[::2], half[part], rtol=1e-12)


def test_too_few_vectors_name_n_m_and_the_ways_out():
    level = white(10, (48, 4, 4), 0)
    with pytest.raises(UserError, match=r"n = 16 vectors of length m = 48") as caught:
        group_kl(level, torch.arange(10).view(10, 1), replace(CONFIG, split="channels"))
    assert all(word in caught.value.fix for word in ("larger groups", "patches_2", "shrinkage", "ledoit_wolf"))
    assert torch.isfinite(
        group_kl(level, torch.arange(10).view(10, 1), replace(CONFIG, split="channels", regulariser="ledoit_wolf"))
    ).all()


def test_as_many_vectors_as_their_length_are_too_few_by_one():
    level = white(6, (16, 4, 4), 0)  # 16 channel vectors of length 16 an image
    with pytest.raises(UserError, match=r"n = 16 vectors of length m = 16"):
        group_kl(level, torch.arange(6).view(6, 1), replace(CONFIG, split="channels"))
    assert torch.isfinite(group_kl(level, torch.arange(6).view(3, 2), replace(CONFIG, split="channels"))).all()


def test_a_group_of_equal_images_without_variation_is_infinitely_far():
    level = torch.zeros(4, 1, 8, 8, dtype=torch.float64)
    assert group_kl(level, torch.arange(4).view(2, 2), CONFIG).tolist() == [float("inf")] * 2


@pytest.mark.parametrize("bad", ["nan", "flat", "integers", "unequal", "none", "shapes"])
def test_what_is_not_latents_is_refused(bad):
    good = white(8, (4, 4, 4), 0)
    broken = good.clone()
    broken[3, 0, 0, 0] = float("nan")
    given = {
        "nan": ([broken], "NaN or infinite values in 1 of 8"),
        "flat": ([good.flatten(1)], re.escape("(8, 64)")),
        "integers": ([good.long()], "int64"),
        "unequal": ([good, good[:5]], "levels of [5, 8] images"),
        "none": ([], "no levels"),
        "shapes": ([white(8, (2, 4, 4), 0)], "the training latents have"),
    }
    latents, message = given[bad]
    with pytest.raises(UserError, match=message.replace("[5, 8]", r"\[5, 8\]")):
        fit([good], CONFIG).prepare(latents)


def test_a_training_set_that_never_varies_is_refused():
    train = white(20, (1, 4, 4), 0)
    train[:, :, ::2] = 1
    with pytest.raises(UserError, match="singular"):
        fit([train], CONFIG)


@pytest.mark.parametrize("size", [1, 5, 10, 25])
def test_god_is_scipy_s_kolmogorov_smirnov(size):
    train, level = white(300, (2, 4, 4), 0), white(50, (2, 4, 4), 1) * 1.3
    level[:3] = level[3]  # ties inside a group
    level[4] = train[0]  # a tie across the two samples
    onto = god.directions([train], 6, 0)
    np.testing.assert_allclose(onto[0].norm(dim=0), 1)
    reference, projected = god.project([train], onto, block=64), god.project([level], onto, block=7)
    members = torch.arange(50).view(-1, size)
    one = god.one_sample(projected, members)
    two = god.two_sample(projected, members, god.sorted_reference(reference))
    for group, found_one, found_two in zip(members, one, two, strict=True):
        rows = projected[group].numpy().T
        assert np.mean([stats.kstest(row, "norm").statistic for row in rows]) == pytest.approx(
            found_one.item(), rel=1e-9
        )
        pairs = zip(rows, reference.numpy().T, strict=True)
        assert np.mean([stats.ks_2samp(row, all_).statistic for row, all_ in pairs]) == pytest.approx(found_two.item())


def test_likelihood_and_typicality_are_those_of_log_p():
    level, log_p = white(20, (1, 4, 4), 0), torch.linspace(-100, -60, 20)
    fitted = fit([level], replace(CONFIG, split="patches_2"), log_p)
    found = dict(fitted.prepare([level], log_p).scores(np.array([[0, 1], [9, 10], [18, 19]])))
    np.testing.assert_allclose(found["likelihood"], [98.947368, 80, 61.052632], rtol=1e-6)
    np.testing.assert_allclose(found["typicality"], [18.947368, 0, 18.947368], atol=1e-5)


def test_groups_are_pure_disjoint_seeded_and_say_what_is_left_over():
    groups = form(103, 58, 10, 7, "svhn")
    assert groups.normal.shape == (10, 10)
    assert groups.anomalous.shape == (5, 10)
    assert groups.normal.max() < 103 <= groups.anomalous.min()
    assert len(np.unique(groups.normal)) == 100
    assert "left over: 3 normal and 8 anomalous" in groups.summary()
    assert np.array_equal(groups.anomalous, form(103, 58, 10, 7, "svhn").anomalous)
    assert not np.array_equal(groups.normal, form(103, 58, 10, 8, "svhn").normal)
    assert np.array_equal(groups.normal, form(103, 200, 10, 7, "lsun").normal)


@pytest.mark.parametrize(("share", "each"), [(0.2, 2), (0.01, 1), (0.5, 5)])
def test_contaminated_groups_share_no_image_with_normal_ones(share, each):
    groups = form(100, 30, 10, 0, "x", share)
    assert ((groups.anomalous >= 100).sum(1) == each).all()
    everything = np.concatenate([groups.normal.ravel(), groups.anomalous.ravel()])
    assert len(np.unique(everything)) == len(everything)
    assert len(everything) + groups.normals_left + groups.anomalies_left == 130


def test_groups_that_cannot_be_filled_are_refused():
    with pytest.raises(UserError, match="3 images of 'svhn' fill no group of 5"):
        form(100, 3, 5, 0, "svhn")


def test_made_anomalies_keep_every_channel_s_values_and_change_only_neighbours():
    level = white(200, (3, 8, 8), 0)
    made = calibration.correlate(level, 0.3)
    assert torch.equal(made.flatten(2).sort(-1).values, level.flatten(2).sort(-1).values)
    assert torch.equal(calibration.correlate(level, 0.0), level)

    def side_by_side(latents):
        return (latents[..., 1:] * latents[..., :-1]).mean().item()

    assert side_by_side(level) == pytest.approx(0, abs=0.02)
    assert side_by_side(made) == pytest.approx(0.3, abs=0.05)


def test_selection_takes_patches_for_correlated_neighbours_and_a_calibrated_null():
    train, held_out = white(300, (12, 8, 8), 0), white(300, (12, 8, 8), 1)
    given = calibration.sets(CONFIG, [train], [held_out])
    found, skipped = calibration.survey(CONFIG, 1, given)
    assert skipped == []
    by_shift = calibration.best(found, "shift", CONFIG.alpha)
    assert by_shift.split == "patches_2"
    assert by_shift.shift > 0.9
    by_rate = calibration.best(found, "calibration", CONFIG.alpha)
    assert by_rate.false_positives == pytest.approx(0.05, abs=0.02)
    with pytest.raises(UserError, match="oracle"):
        calibration.best(found, "oracle", CONFIG.alpha)


def test_an_imperfect_flow_is_called_anomalous_by_the_prior_and_not_by_the_training_gaussian():
    train, held_out = (neighbours(400, (12, 8, 8), 0.3, seed) for seed in (0, 1))
    found, skipped = calibration.survey(CONFIG, 1, calibration.sets(CONFIG, [train], [held_out]), ["patches_2"])
    rate = {one.to: one.false_positives for one in found if one.regulariser == "none"}
    assert rate["klods_prior"] > 0.9
    assert rate["klods_train"] < 0.15
    assert not skipped


@pytest.mark.parametrize(("own", "names"), [("groups_2", ["groups_2", "groups_4"]), ("squeeze", ["squeeze"])])
def test_the_configs_own_split_is_a_candidate_and_none_is_judged_twice(own, names):
    levels = [white(60, (12, 4, 4), 0)]
    config = replace(CONFIG, split=own)
    found, _ = calibration.survey(config, 1, calibration.sets(config, levels, levels))
    judged = dict.fromkeys(one.split for one in found)
    assert [name for name in judged if name not in ("patches_2", "patches_4", "channels")] == names


def test_what_cannot_run_is_told_and_left_out():
    levels = [white(40, (6, 4, 4), 0), white(40, (12, 2, 2), 1)]
    found, skipped = calibration.survey(CONFIG, 1, calibration.sets(CONFIG, levels, levels))
    assert {one.level for one in found if one.split == "groups_4"} == {"z2"}
    assert any(line.startswith("groups_4, z1, none: groups of 4 channels do not divide 6") for line in skipped)
    assert any(line.startswith("channels, z2, none: n = 4 vectors of length m = 12") for line in skipped)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("split", "patches"),
        ("split", "patches_1"),
        ("split", "radnom"),
        ("level", "4"),
        ("weighting", "equl"),
        ("regulariser", "ridge"),
        ("group_sizes", (5, 1)),
        ("group_sizes", (0,)),
        ("contamination", 0.0),
        ("shrinkage", 1.0),
        ("shift", float("nan")),
        ("directions", 0),
    ],
)
def test_every_wrong_key_is_named(key, value):
    assert key in dict(config_problems(replace(CONFIG, **{key: value})))
    assert list(config_problems(CONFIG)) == []
