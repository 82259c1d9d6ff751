"""work_of.py OUT.json SPACE.py: the work of a launch as plain data, for loops that do it without the orchestrator."""

import json
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

from orchestrator.data.loading import load_splits
from orchestrator.planning.identity import identify
from orchestrator.planning.options import Options, load_space
from orchestrator.planning.plan import make_plan


def work_of(name: str) -> dict[str, Any]:
    """Data, targets, stages and trials of a space at its own preset."""
    _, space, preset = load_space(name, Options())
    splits = load_splits(space.data, Path("nowhere"))
    plan = make_plan(name, "", space, preset, run=None, cpus=2).with_images(splits)
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
