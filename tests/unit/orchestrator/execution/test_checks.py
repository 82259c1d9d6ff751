"""What only the images tell is refused before any work."""

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.data.loading import load_splits
from orchestrator.execution.checks import check_same_code
from orchestrator.planning.identity import Identity
from orchestrator.planning.plan import plan_of
from tests.helpers.launches import request_for
from workloads.data.images import AuxiliarySet
from workloads.errors import UserError


def test_a_streamed_auxiliary_set_needs_ray(tmp_path):
    request = request_for(tmp_path, "flow_digits", executor="local")
    plan = plan_of(request)
    splits = load_splits(request.space.data, Path("nowhere"), download=False)
    streamed = replace(splits, auxiliary=None, streamed=AuxiliarySet("sets/tiny", 100, "digest"))
    replace(plan, in_process=False).with_images(streamed)
    plan.with_images(splits)
    with pytest.raises(UserError, match="streamed by Ray"):
        plan.with_images(streamed)


def test_an_edited_method_is_refused_by_name_and_the_runs_copy_goes_on():
    names = {"workloads.method": "1", "mine.net": "1"}
    before, after = (Identity("data", code, names | {"mine.net": code}) for code in "12")
    with pytest.raises(UserError, match="another copy of its method's code") as refused:
        check_same_code(before, after, "four", "mine", accept_code=False)
    assert "`resume four` goes on with the run's copy" in refused.value.fix
    assert "mine.net" in refused.value.details
    with pytest.raises(UserError, match="made with other code"):
        check_same_code(before, after, "four", "", accept_code=False)
    check_same_code(before, after, "four", "mine", accept_code=True)
