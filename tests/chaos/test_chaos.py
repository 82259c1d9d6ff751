"""A slice of the harness: every fault once, each at a moment of its own. The whole is `python -m tests.chaos`."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.chaos.cases import Stage
from tests.chaos.families import FAMILIES, run_case
from tests.chaos.fuzz import KINDS, unplanned
from tests.chaos.regressions import ACTIVE, REGRESSIONS
from tests.chaos.world import warm

DEAR = ("MLflow hangs", "few open files")
"""Whose slices are slow: the one waits, the other rarely comes far."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    warm()
    folder = tmp_path_factory.mktemp("chaos")
    yield Stage.made(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("fault", [name for name in FAMILIES if name not in DEAR])
def test_nothing_is_lost_and_nothing_damaged_is_believed(stage, fault):
    verdict = run_case(stage, fault, len(fault))
    assert verdict.wrong == [], f"{verdict.fault} at {verdict.moment}"


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAMILIES)
def test_forty_moments_of_every_fault(stage, fault):
    wrong = {number: run_case(stage, fault, number, seed=1).wrong for number in range(40)}
    assert {number: texts for number, texts in wrong.items() if texts} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_promise_that_is_broken_on_purpose_is_noticed(stage, name):
    regression = REGRESSIONS[name]
    kinds = {key: count for key, count in stage.moments.items() if regression.kind in ("", key[1])}
    narrow = replace(stage, moments=kinds)
    ACTIVE.append(name)
    try:
        assert any(run_case(narrow, regression.fault, number).wrong for number in range(40))
    finally:
        ACTIVE.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_user_hands_over_ends_well_or_in_a_planned_error(kind, tmp_path):
    """The whole is `python -m tests.chaos.fuzz`, which limits memory, too."""
    ends = {seed: unplanned(kind, seed, tmp_path / str(seed)) for seed in range(50)}
    assert {seed: text for seed, text in ends.items() if text} == {}
