"""What only the images tell is refused before any work."""

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.data.loading import load_splits
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
