"""work_of.py OUT.json SPACE.py: the work of a launch as plain data, for loops that do it without the orchestrator."""

import json
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

from orchestrator.data.loading import load_splits
from orchestrator.planning.identity import identify
from tests.helpers.plans import planned


def work_of(name: str) -> dict[str, Any]:
    """Data, targets, stages and trials of a space at its own preset."""
    plan = planned(name)
    space, splits = plan.space, load_splits(plan.space.data, Path("nowhere"))
    plan = plan.with_images(splits)
    _, trials, stages, _ = identify(plan, splits.digest, splits.target_digests)
    return {
        "workload": space.workload,
        "data": space.data.model_dump(mode="json"),
        "targets": list(plan.targets),
        "stages": [{"unit": astuple(s.unit), "config": s.config, "key": s.key} for s in stages],
        "trials": [{"id": t.id, "config": t.config, "stages": t.stages} for t in trials],
        "units": [astuple(u) for u in plan.units],
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(work_of(sys.argv[2])))
