"""Scores of scikit-learn's baselines as they lie in a storage, found again by content."""

from upath import UPath

from orchestrator.planning.identity import content_hash
from orchestrator.record.paths import RunPaths
from orchestrator.results.evaluation import read_table
from workloads.scoring.baselines import BASELINES
from workloads.scoring.metrics import per_class_auroc


def measured(paths: RunPaths, digest: str, code: str) -> dict[str, dict[str, float | None]]:
    """Per-class AUROC of every baseline that has been scored, from its file."""
    files = {name: table_path(paths, name, digest, code) for name in BASELINES}
    return {name: per_class_auroc(read_table(path)) for name, path in files.items() if path.exists()}


def table_path(paths: RunPaths, name: str, digest: str, code: str) -> UPath:
    key = content_hash({"data": digest, "code": code, "baseline": name}, 16)
    return paths.baselines(key) / "scores.parquet"
