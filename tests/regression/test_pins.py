"""The numbers of three small launches are those of the commit that pinned them (see made_pins.py).

By default to within the differences between processors; `EXACT=1 python -m pytest tests/regression` compares to the
bit, on the machine that the pins were made on. On another one, make pins there with the commit that pinned them first.
EXECUTOR=ray launches on Ray instead of in one process: the numbers are the same.
"""

import json
import os

import numpy as np
import pytest

from tests.regression.made_pins import EXECUTOR, LAUNCHES, PINS, launch, read_pins

pytestmark = [pytest.mark.ray] if EXECUTOR == "ray" else []

EXACT = os.environ.get("EXACT") == "1"
SCORES = {"rtol": 0, "atol": 0} if EXACT else {"rtol": 1e-5, "atol": 3e-4}
"""With AVX2 instead of AVX-512, scores moved by 1.2e-4 at most: a flow's ratio, a difference of two large numbers."""
NUMBERS = {"rel": 0, "abs": 0} if EXACT else {"rel": 1e-5, "abs": 2e-4}
"""Of metrics and losses. Two images that change places move an AUROC here by 1e-5; AVX2 moved them by 3e-6."""


@pytest.fixture(scope="module", params=LAUNCHES)
def both(request, tmp_path_factory):
    """(pinned, now): each what is pinned as plain data, and scores."""
    name = request.param
    pinned = json.loads((PINS / f"{name}.json").read_text())
    with np.load(PINS / f"{name}.npz") as file:
        scores = dict(file)
    plain, now = read_pins(launch(name, tmp_path_factory.mktemp(name)))
    return (pinned, scores), (json.loads(json.dumps(plain)), now)


def test_points_stages_and_rows_are_the_pinned_ones(both):
    (pinned, _), (now, _) = both

    def shape(pins):
        rungs = [[(b, r["rows"], r["keys_sha256"]) for b, r in t["rungs"].items()] for t in pins["trials"]]
        stages = {unit: stage["steps"] for unit, stage in pins["stages"].items()}
        return [t["point"] for t in pins["trials"]], rungs, stages, pins["winner"]

    assert shape(now) == shape(pinned)


def test_numbers_are_the_pinned_ones(both):
    (pinned, _), (now, _) = both
    assert differences(numbers(pinned), numbers(now)) == []


def test_scores_are_the_pinned_ones(both):
    (_, pinned), (_, now) = both
    assert now.keys() == pinned.keys()
    for name, scores in pinned.items():
        np.testing.assert_allclose(now[name], scores, **SCORES, err_msg=name)


@pytest.mark.skipif(not EXACT, reason="bits differ between processors: EXACT=1 compares them")
def test_score_tables_and_weights_are_the_pinned_ones_to_the_bit(both):
    (pinned, _), (now, _) = both

    def hashes(pins):
        tables = [{b: r["scores_sha256"] for b, r in t["rungs"].items()} for t in pins["trials"]]
        stages = {unit: stage["weights_sha256"] for unit, stage in pins["stages"].items()}
        return tables, [t["weights_sha256"] for t in pins["trials"]], stages

    assert hashes(now) == hashes(pinned)


def numbers(pins):
    """Everything that is a number, by its path: metrics of rungs, losses of stages, the report's table, analyses."""
    rungs = [{b: r["metrics"] for b, r in t["rungs"].items()} for t in pins["trials"]]
    histories = {unit: stage["history"] for unit, stage in pins["stages"].items()}
    parts = {"rungs": rungs, "histories": histories, "table": pins["table"], "analyses": pins["analyses"]}
    return flat(parts)


def flat(value, path=""):
    if isinstance(value, dict):
        return {k: v for key, each in value.items() for k, v in flat(each, f"{path}/{key}").items()}
    if isinstance(value, list):
        return {k: v for number, each in enumerate(value) for k, v in flat(each, f"{path}/{number}").items()}
    return {path: value}


def differences(pinned, now):
    """A line each: what is on one side alone, or further from the pin than its tolerance."""
    lines = [f"{path}: on one side alone" for path in sorted(pinned.keys() ^ now.keys())]
    changed = [path for path in sorted(pinned.keys() & now.keys()) if not close(pinned[path], now[path])]
    return lines + [f"{path}: pinned {pinned[path]}, now {now[path]}" for path in changed]


def close(pinned, now):
    """Within the tolerance, or equal where one is no number."""
    return now == pinned or (isinstance(pinned, float) and now == pytest.approx(pinned, **NUMBERS))
