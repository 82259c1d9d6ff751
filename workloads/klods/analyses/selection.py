"""Which split, level, regulariser and reference to take, judged on the flow's held-out latents without an anomaly."""

from workloads.data.view import TargetView
from workloads.klods.calibration import Candidate, sets, survey
from workloads.klods.detector import GroupScorer
from workloads.klods.flow_config import KlodsFlowConfig
from workloads.learner import Finding, Fitted
from workloads.units import Unit


def selection(config: KlodsFlowConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """Every candidate of `calibration.survey` at the group size `judged_size`, so also those that no trial had.

    Numbers in [0, 1], by ``SPLIT/LEVEL/REGULARISER/REFERENCE``: `false_positives`, the share of held-out groups below
    p = alpha, which a calibrated null has near alpha (without a regulariser only); `shift`, AUROC of held-out groups
    against themselves with correlated neighbours. Empty where the held-out images fill no group.
    """
    scorer = GroupScorer(config, view.device, fitted.artifacts[str(Unit("flow", view.target, "flow"))])
    train, held_out = (scorer.encode(images).good() for images in (view.train, view.val))
    if len(held_out[0]) < config.judged_size:
        return Finding({})
    candidates, _ = survey(config, config.judged_size, sets(config, train, held_out))
    return Finding({name: value for candidate in candidates for name, value in numbers(candidate)})


def numbers(candidate: Candidate) -> list[tuple[str, float | None]]:
    name = f"{candidate.split}/{candidate.level}/{candidate.regulariser}/{candidate.to}"
    rate = [] if candidate.false_positives is None else [(f"false_positives/{name}", candidate.false_positives)]
    return [*rate, (f"shift/{name}", candidate.shift)]
