"""Every key of the workload "klods": those of the flow that is trained, and those of the group scores."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal

from workloads.flows.config import FlowConfig, Score
from workloads.flows.config import problems as flow_problems
from workloads.klods.config import KlodsConfig
from workloads.klods.config import problems as group_problems

GroupScore = Literal[
    "klods_prior",
    "klods_train",
    "god_1ks",
    "god_2ks",
    "typicality",
    "likelihood",
    "complexity",
    "complexity_only",
]
FIXED = ("hierarchy", "from_general", "outlier_loss", "supervised", "score")
"""Keys of flows with one value here: a density trained by maximum likelihood alone, from scratch."""
OF_OTHERS = ("outlier_weight", "outlier_temperature", "complexity_codec")
"""Keys of flows that do not touch such a density; with those of the general flow they take their defaults."""


@dataclass(frozen=True)
class KlodsFlowConfig(KlodsConfig, FlowConfig):
    """Flow keys as in `FlowConfig`, group keys as in `KlodsConfig`; which flow KLODS used is not known (guess)."""

    hierarchy: Literal["general", "none"] = "none"
    from_general: bool = False
    score: Score = "likelihood"

    group_score: GroupScore = "klods_prior"  # the detector's, see `workloads.klods.scoring` and `.complexity`
    judged_size: int = 5  # of the groups whose AUROC is the detector's; published


def flow_config(config: KlodsFlowConfig) -> FlowConfig:
    """The flow that is trained; equal for all configs that differ in how groups are scored."""
    flow, plain = FlowConfig(**{field.name: getattr(config, field.name) for field in fields(FlowConfig)}), FlowConfig()
    unused = [field.name for field in fields(FlowConfig) if field.name.startswith("general_")]
    return replace(flow, **{key: getattr(plain, key) for key in (*unused, *OF_OTHERS)})


def problems(config: KlodsFlowConfig) -> Iterator[tuple[str, str]]:
    """Every (key, what is wrong) of a config whose types are right; nothing if it can run."""
    plain = KlodsFlowConfig()
    changed = [key for key in FIXED if getattr(config, key) != getattr(plain, key)]
    for key in changed:
        yield key, f"must be {getattr(plain, key)!r}: groups are scored on a flow trained by maximum likelihood alone"
    yield from () if changed else flow_problems(config)
    yield from group_problems(config)
    if config.judged_size not in config.group_sizes:
        yield "judged_size", f"must be one of group_sizes, {', '.join(map(str, config.group_sizes))}"
