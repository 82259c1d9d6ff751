"""A rung's numbers, made from the workers' rows."""

import json

import numpy as np
from upath import UPath

from orchestrator.record.paths import TrialPaths
from orchestrator.results.evaluation import finish_rung, read_table, write_share
from workloads.flows.config import FlowConfig
from workloads.flows.method import Flows
from workloads.scoring.table import LIKELIHOOD, join, rows


def test_bits_per_dim_are_the_mean_of_all_windows_and_an_images_score_its_worst(tmp_path) -> None:
    """A window with a rare but normal pattern must not hide how well all others are described."""
    held_out = {"val/a": (1.0, 2.0, 9.0), "val/b": (3.0, 4.0, 5.0)}
    ids = [name for name, bits in held_out.items() for _ in bits]
    bits = np.concatenate([*held_out.values()])
    paths = TrialPaths(UPath(tmp_path / "trial"))
    share = rows("good", "val", LIKELIHOOD, ids, ["good"] * len(ids), np.zeros(len(ids), bool), bits)
    write_share(paths.scores_share(10, 0), join([share]), {})
    finish_rung(paths, 10, 1, Flows(FlowConfig()), 1.0, 1.0)
    kept = read_table(paths.scores(10))
    worst = dict(zip(kept["image_id"].to_pylist(), kept["score"].to_pylist(), strict=True))
    assert worst == {"val/a": 9.0, "val/b": 5.0}
    assert json.loads(paths.rung(10).read_text())["bits_per_dim"] == 4.0
