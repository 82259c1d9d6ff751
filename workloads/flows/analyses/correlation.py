"""Model bias and domain prior: a flow of one class and a flow of everything rank images almost alike."""

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from workloads.flows.analyses.scatter import scatter
from workloads.flows.config import FlowConfig
from workloads.flows.scorer import FlowScorer, trained_scorer
from workloads.method import Finding, Trained


def correlation(config: FlowConfig, trained: Trained, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """Spearman's rank correlation of images' likelihoods under the target's flow and under the general flow.

    Numbers in [-1, 1]: over the `normal` test images, over each group of anomalies (the `anomalous` test images where
    there are any, and the out sets by name), and over `all` of these together; None where a group has fewer than two
    images, where a likelihood never varies, or without a general flow. Near 1, the likelihood says what any image is
    like and little of the target; what sets the two flows apart is the ratio. Picture: `likelihoods`, bits/dim under
    the general flow to the right and under the target's upwards; anomalies are orange.
    Source: Schirrmeister et al., NeurIPS 2020, Figure 2.
    """
    groups = {"normal": trained.test[torch.from_numpy(~trained.test_anomalous)]}
    if trained.test_anomalous.any():
        groups["anomalous"] = trained.test[torch.from_numpy(trained.test_anomalous)]
    groups |= trained.out
    if config.hierarchy == "none":
        return Finding({f"rank_correlation/{name}": None for name in ("all", *groups)})
    scorer = trained_scorer(config, trained)
    pairs = {name: likelihoods(scorer, images) for name, images in groups.items()}
    together = np.concatenate(list(pairs.values()), axis=1)
    numbers = {f"rank_correlation/{name}": ranked(*pair) for name, pair in ({"all": together} | pairs).items()}
    anomalous = np.arange(together.shape[1]) >= pairs["normal"].shape[1]
    names = ("general flow, bits/dim", "own flow, bits/dim")
    return Finding(numbers, {"likelihoods": scatter(together[0], together[1], anomalous, names)})


def likelihoods(scorer: FlowScorer, images: Tensor) -> np.ndarray:
    """(2, N) bits/dim under the general flow and under the target's."""
    scores = scorer.score(images)
    return np.stack([scores["general_likelihood"], scores["likelihood"]])


def ranked(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's rho; None where it is undefined."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)
