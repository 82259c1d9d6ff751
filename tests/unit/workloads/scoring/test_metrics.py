"""AUROC against scikit-learn and against its own laws; the selection criterion against a naive loop."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from workloads.scoring import metrics
from workloads.scoring.table import FAILED, SCHEMA, rows

# Few distinct values, so that most draws hold ties.
SAMPLES = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({anomalous for _, anomalous in rows}) == 2
)


def table(rows):
    """rows: (target, split, anomalous, part, score)."""
    columns = {
        "image_id": [str(index) for index in range(len(rows))],
        "target": [row[0] for row in rows],
        "split": [row[1] for row in rows],
        "label": ["any"] * len(rows),
        "anomalous": [row[2] for row in rows],
        "part": [row[3] for row in rows],
        "score": [row[4] for row in rows],
    }
    arrays = [
        pa.array(columns[field.name]).dictionary_encode().cast(field.type)
        if pa.types.is_dictionary(field.type)
        else pa.array(columns[field.name], field.type)
        for field in SCHEMA
    ]
    return pa.table(arrays, schema=SCHEMA)


def made(seed=0):
    """Three targets, two levels and the whole; uneven banks; one level of one target without validation rows."""
    rng = np.random.default_rng(seed)
    rows = []
    for target in ("3", "10", "1"):
        for part in ("level_16", "level_2", "all"):
            strength = rng.uniform(0, 2)
            splits = ["test", "val", "own/P_2", "other/P_0", "other/P_1", "position/random"]
            for split in splits if part != "all" else ["test"]:
                if (target, part, split) == ("1", "level_2", "val"):
                    continue
                for _ in range(int(rng.integers(3, 30))):
                    anomalous = bool(rng.random() < 0.5) if split == "test" else split != "val"
                    rows.append((target, split, anomalous, part, round(rng.normal() + strength * anomalous, 1)))
    return rows


@settings(deadline=None, max_examples=60)
@given(SAMPLES)
def test_auroc_is_scikit_learns(rows):
    scores, anomalous = zip(*rows, strict=True)
    assert metrics.auroc(scores, anomalous) == pytest.approx(roc_auc_score(anomalous, scores), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(SAMPLES)
def test_auroc_of_negated_scores_is_the_rest(rows):
    scores, anomalous = (np.array(column) for column in zip(*rows, strict=True))
    assert metrics.auroc(-scores, anomalous) == pytest.approx(1 - metrics.auroc(scores, anomalous), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(SAMPLES)
def test_auroc_sees_only_the_order(rows):
    scores, anomalous = (np.array(column) for column in zip(*rows, strict=True))
    stretched = np.where(scores == scores.max(), np.inf, np.where(scores == scores.min(), -np.inf, np.exp(scores)))
    assert metrics.auroc(stretched if np.ptp(scores) else scores, anomalous) == metrics.auroc(scores, anomalous)


@settings(deadline=None, max_examples=60)
@given(SAMPLES)
def test_area_under_the_curve_is_the_auroc(rows):
    scores, anomalous = zip(*rows, strict=True)
    fpr, tpr = metrics.roc_curve(scores, anomalous)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert len(fpr) == len(set(scores)) + 1
    assert np.trapezoid(tpr, fpr) == pytest.approx(metrics.auroc(scores, anomalous), abs=1e-12)


@pytest.mark.parametrize("anomalous", [[], [True, True], [False, False]])
def test_one_class_is_undefined(anomalous):
    scores = [0.5] * len(anomalous)
    assert metrics.auroc(scores, anomalous) is None
    assert metrics.auroc_interval(scores, anomalous) is None
    with pytest.raises(ValueError, match="needs both classes"):
        metrics.roc_curve(scores, anomalous)


def test_a_detector_without_test_anomalies_has_no_auroc_but_a_criterion():
    rows = [("normal", "test", False, part, score) for part in ("level_1", "all") for score in (0.1, 0.2)]
    rows += [("normal", "val", False, "level_1", 0.1), ("normal", "own/fakes", True, "level_1", 0.9)]
    assert metrics.per_class_auroc(table(rows)) == {"normal": None}
    assert metrics.per_part_auroc(table(rows))["level_1"] == {"normal": None}
    assert metrics.contrastive(table(rows)) == 1.0


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        metrics.auroc([0.0, math.nan], [True, False])
    with pytest.raises(ValueError, match="alike"):
        metrics.auroc([0.0, 1.0], [True])
    with pytest.raises(ValueError, match="alike"):
        metrics.auroc([[0.0, 1.0]], [[True, False]])
    with pytest.raises(ValueError, match="booleans or 0/1"):
        metrics.auroc([0.0, 1.0], [-1, 1])
    with pytest.raises(ValueError, match="confidence"):
        metrics.auroc_interval([0.0, 1.0], [0, 1], confidence=95)


def test_interval_agrees_with_the_bootstrap():
    rng = np.random.default_rng(0)
    normal, anomaly = rng.normal(size=250).round(1), rng.normal(1, 1.2, size=250).round(1)
    anomalous = np.repeat([False, True], [250, 250])
    drawn = [
        metrics.auroc(np.concatenate([rng.choice(normal, 250), rng.choice(anomaly, 250)]), anomalous)
        for _ in range(1000)
    ]
    low, high = metrics.auroc_interval(np.concatenate([normal, anomaly]), anomalous)
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.006)


def test_mean_leaves_out_the_undefined():
    assert metrics.mean([0.25, None, 0.75]) == 0.5
    assert metrics.mean([None]) is None
    assert metrics.mean([]) is None


def test_images_that_could_not_be_scored_are_counted_once_whatever_the_part():
    scores = [("a", "p", 0.1), ("a", "p", FAILED), ("a", "q", FAILED), ("a", "q", FAILED), ("b", "p", 2e6)]
    made = table([(target, "test", False, part, score) for target, part, score in scores])
    ids = pa.array(["first", "second", "first", "second", "first"])
    made = made.set_column(made.schema.get_field_index("image_id"), "image_id", ids)
    assert metrics.failed(made) == {"a": 2}


def test_bits_per_dim_are_undefined_where_an_image_could_not_be_scored():
    made = table([("a", "val", False, "likelihood", score) for score in (3.0, 4.0, FAILED)])
    assert metrics.mean_validation(made, "likelihood") is None
    assert metrics.mean_validation(made.slice(0, 2), "likelihood") == 3.5


def test_failed_proxies_win_no_selection():
    """A failure ranks above all scores: counted as an anomaly that was detected, it would raise the criterion."""
    random = np.random.default_rng(0)
    normal = [("a", "val", False, "p", score) for score in random.normal(size=40)]
    own = [("a", "own/P", True, "p", score) for score in random.normal(0.2, 1, 40)]
    other = [("a", "other/P", True, "p", score) for score in random.normal(2, 1, 40)]
    broken = [(*row[:4], FAILED) if number < 30 else row for number, row in enumerate(own)]
    healthy = metrics.contrastive_by_unit(table(normal + own + other))["a", "p"]
    units = metrics.contrastive_by_unit(table(normal + broken + other))["a", "p"]
    assert units == {"own": None, "other": healthy["other"]}
    assert metrics.contrastive(table(normal + own + other)) == pytest.approx(np.mean([*healthy.values()]))
    assert metrics.contrastive(table(normal + broken + other)) is None, "the easy group alone would win"
    unscored = [(*normal[0][:4], FAILED), *normal[1:]]
    assert metrics.contrastive(table(unscored + own)) is None
    elsewhere = [("a", "test", True, "p", FAILED), ("a", "own/P", True, "q", FAILED), ("a", "val", False, "q", 0.0)]
    assert metrics.contrastive(table(normal + own + elsewhere), parts=("p",)) == healthy["own"]


def test_anomalies_of_which_none_could_be_scored_give_no_auroc():
    normal = [("a", "test", False, "all", score) for score in (0.1, 0.2, 0.3)]
    noise = [("a", "out/noise", True, "all", FAILED) for _ in range(3)]
    assert metrics.out_auroc(table(normal + noise)) == {("a", "all", "noise"): None}
    intervals = metrics.whole_intervals(table(normal + noise))
    assert intervals["auroc_out/noise/a"] is None
    assert intervals["auroc_out/noise/mean"] is None
    scored = [*noise[1:], ("a", "out/noise", True, "all", 0.25)]
    assert metrics.out_auroc(table(normal + scored)) == {("a", "all", "noise"): pytest.approx(8 / 9)}
    failed = [("a", "test", True, "all", FAILED)]
    assert metrics.per_class_auroc(table(normal + failed)) == {"a": None}


def test_what_is_not_finite_is_stored_as_failed_and_what_is_finite_stays_so():
    scores = np.array([1e300, -1e300, 2e6, math.nan, math.inf, -math.inf])
    made = rows("a", "test", "p", [*"abcdef"], ["a"] * 6, np.zeros(6, bool), scores)
    assert np.isfinite(made["score"].to_numpy()).tolist() == [True, True, True, False, False, False]
    assert metrics.failed(made) == {"a": 3}


def test_per_class_and_per_level_against_a_naive_loop():
    rows = made()
    levels = metrics.per_part_auroc(table(rows))
    assert list(levels) == ["level_2", "level_16", "all"]
    for part, values in levels.items():
        assert list(values) == ["1", "3", "10"]
        assert values == metrics.per_class_auroc(table(rows), part)
        for target, value in values.items():
            test = [row for row in rows if row[0] == target and row[1] == "test" and row[3] == part]
            expected = roc_auc_score([row[2] for row in test], np.float32([row[4] for row in test]))
            assert value == pytest.approx(expected, abs=1e-12)


def naive_contrastive(rows):
    over_targets = []
    for target in {row[0] for row in rows}:
        over_parts = []
        for part in {row[3] for row in rows if row[0] == target} - {"all"}:
            unit = [row for row in rows if row[0] == target and row[3] == part]
            val = [row[4] for row in unit if row[1] == "val"]
            over_groups = []
            for group in ("own", "other", "position"):
                areas = []
                for bank in {row[1] for row in unit if row[1].startswith(f"{group}/")}:
                    fakes = [row[4] for row in unit if row[1] == bank]
                    if val and fakes:
                        wins = [(fake > normal) + (fake == normal) / 2 for fake in fakes for normal in val]
                        areas.append(sum(wins) / len(wins))
                if areas:
                    over_groups.append(sum(areas) / len(areas))
            if over_groups:
                over_parts.append(sum(over_groups) / len(over_groups))
        if over_parts:
            over_targets.append(sum(over_parts) / len(over_parts))
    return sum(over_targets) / len(over_targets)


@pytest.mark.parametrize("seed", range(5))
def test_contrastive_against_a_naive_loop(seed):
    rows = made(seed)
    assert metrics.contrastive(table(rows)) == pytest.approx(naive_contrastive(rows), abs=1e-12)


def test_contrastive_never_looks_at_the_test_rows():
    rows = made()
    turned = [(*row[:4], -row[4]) if row[1] == "test" else row for row in rows]
    unlabelled = [row for row in rows if row[1] != "test"]
    assert metrics.contrastive(table(turned)) == metrics.contrastive(table(rows))
    assert metrics.contrastive(table(unlabelled)) == metrics.contrastive(table(rows))
    assert metrics.contrastive(table([row for row in rows if row[1] == "test"])) is None


def test_contrastive_by_unit_names_groups_and_the_undefined():
    units = metrics.contrastive_by_unit(table(made()))
    assert set(units) == {(target, part) for target in ("1", "3", "10") for part in ("level_2", "level_16")}
    assert all(set(groups) == {"own", "other", "position"} for groups in units.values())
    assert units["1", "level_2"] == {"own": None, "other": None, "position": None}
    assert None not in units["1", "level_16"].values()


def test_not_learned_lists_what_is_below_and_skips_what_cannot_be_judged():
    rows = made()
    own = {unit: groups["own"] for unit, groups in metrics.contrastive_by_unit(table(rows)).items()}
    threshold = float(np.median([value for value in own.values() if value is not None]))
    expected = {(*unit, value) for unit, value in own.items() if value is not None and value < threshold}
    assert set(metrics.not_learned(table(rows), threshold)) == expected
    assert len(expected) == 2


def test_contradictory_labels_are_refused():
    rows = [("a", "val", True, "level_1", 0.0), ("a", "own/P_0", True, "level_1", 1.0)]
    with pytest.raises(ValueError, match="validation rows must be normal"):
        metrics.contrastive(table(rows))


def test_row_order_chunks_and_dictionaries_do_not_matter():
    rows = made()
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    chunked = pa.concat_tables([table(shuffled[:100]), table(shuffled[100:])])
    assert metrics.per_part_auroc(chunked) == metrics.per_part_auroc(table(rows))
    assert metrics.contrastive(chunked) == metrics.contrastive(table(rows))


def test_tables_that_are_wrong_or_empty():
    assert metrics.per_part_auroc(SCHEMA.empty_table()) == {}
    assert metrics.contrastive(SCHEMA.empty_table()) is None
    with pytest.raises(ValueError, match="score are missing"):
        metrics.per_class_auroc(table(made()).drop_columns(["score"]))
    with pytest.raises(ValueError, match=r"NaN scores in .*level_1"):
        metrics.per_class_auroc(table([("a", "test", True, "level_1", math.nan)]))
    with pytest.raises(ValueError, match="column score has 1 nulls"):
        metrics.per_class_auroc(table([("a", "test", True, "level_1", None)]))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_pixel_auroc_takes_all_pixels_of_all_images_together(seed):
    rng = np.random.default_rng(seed)
    maps, masks = rng.integers(0, 6, (3, 4, 4)) / 8, rng.random((3, 4, 4)) < 0.3
    masks[0, 0, :2] = True, False
    expected = roc_auc_score(masks.ravel(), maps.ravel())
    assert metrics.pixel_auroc(maps.astype(np.float32), masks.astype(np.uint8)) == pytest.approx(expected, abs=1e-12)


def test_pixel_auroc_without_either_kind_of_pixel_is_undefined():
    maps = np.ones((2, 3, 3), np.float32)
    assert metrics.pixel_auroc(maps, np.zeros((2, 3, 3))) is None
    assert metrics.pixel_auroc(maps, np.ones((2, 3, 3))) is None
    with pytest.raises(ValueError, match=r"alike, found \(2, 3, 3\) and \(2, 9\)"):
        metrics.pixel_auroc(maps, np.zeros((2, 9)))


def test_groups_are_of_one_kind_and_judged_by_the_mean_of_their_images() -> None:
    random = np.random.default_rng(0)
    scores = np.concatenate([random.normal(0, 1, 103), random.normal(1, 1, 52)])
    images = metrics.Rows(scores, np.arange(155) >= 103)
    groups = images.grouped(5)
    assert (int((~groups.anomalous).sum()), int(groups.anomalous.sum())) == (20, 10)
    # no image twice: the sums of all groups are those of all images but the 3 and 2 that are left out
    left_out = np.sort(scores[103:])[[0, -1]]
    total = 5 * groups.scores[groups.anomalous].sum()
    assert scores[103:].sum() - 2 * left_out[1] <= total <= scores[103:].sum() - 2 * left_out[0]
    assert groups.auroc() > images.auroc() + 0.1
    assert images.grouped(0) is images.grouped(1) is images
    assert metrics.Rows(scores[:4], np.arange(4) > 1).grouped(3).auroc() is None
    assert np.isposinf(metrics.Rows(np.array([0.0, 1.0, np.inf, 2.0]), np.arange(4) > 1).grouped(2).scores[1])
