"""Every key of the workload "klods": those of the flow that is trained, and those of the group scores."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal

from workloads.flows.config import FlowConfig, Score
from workloads.keys import key
from workloads.klods.config import KlodsConfig

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

    hierarchy: Literal["general", "none"] = key("none")
    from_general: bool = key(False)
    score: Score = key("likelihood")

    # the flow that is trained, a stage, is the target's; there is no general one
    epochs: float = key(250.0, role="stage", schedule=True, low=0)
    batch_size: int = key(64, role="stage", schedule=True, above=0)
    lr: float = key(5e-4, role="stage", schedule=True, above=0)
    flip: bool = key(True, role="stage", schedule=True)
    general_epochs: float = key(250.0, above=0)
    general_batch_size: int = key(64, above=0)
    general_lr: float = key(5e-4, above=0)
    general_flip: bool = key(True)

    group_score: GroupScore = key("klods_prior")  # the detector's, see `workloads.klods.scoring` and `.complexity`
    judged_size: int = key(5, role="run")  # of the groups whose AUROC is the detector's; published

    def problems(self) -> Iterator[tuple[str, str]]:
        plain = KlodsFlowConfig()
        changed = [name for name in FIXED if getattr(self, name) != getattr(plain, name)]
        for name in changed:
            yield name, f"must be {getattr(plain, name)!r}: the groups' flow is trained by maximum likelihood alone"
        yield from () if changed else FlowConfig.problems(self)
        yield from KlodsConfig.problems(self)
        if self.judged_size not in self.group_sizes:
            yield "judged_size", f"must be one of group_sizes, {', '.join(map(str, self.group_sizes))}"


def flow_config(config: KlodsFlowConfig) -> FlowConfig:
    """The flow that is trained; equal for all configs that differ in how groups are scored."""
    flow, plain = FlowConfig(**{field.name: getattr(config, field.name) for field in fields(FlowConfig)}), FlowConfig()
    unused = [field.name for field in fields(FlowConfig) if field.name.startswith("general_")]
    return replace(flow, **{key: getattr(plain, key) for key in (*unused, *OF_OTHERS)})
