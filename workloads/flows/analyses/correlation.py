"""Model bias and domain prior: a flow of one class and a flow of everything rank images almost alike."""

import numpy as np
from scipy.stats import spearmanr

from workloads.flows.analyses.scatter import scatter
from workloads.flows.config import FlowConfig
from workloads.flows.scorer import trained_scorer
from workloads.workload import Finding, Trained


def correlation(config: FlowConfig, trained: Trained, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """Spearman's rank correlation of test images' likelihoods under the target's flow and under the general flow.

    Numbers in [-1, 1]: over `all` test images, and over the `normal` and the `anomalous` ones alone; None where there
    are fewer than two, where a likelihood never varies, or without a general flow. Near 1, the likelihood says what any
    image is like and little of the target; what sets them apart is the ratio. Picture: `likelihoods`, bits/dim under
    the general flow to the right and under the target's upwards, on one scale; anomalous images are orange.
    Source: Schirrmeister et al., NeurIPS 2020, Figure 2.
    """
    normal = ~trained.test_anomalous
    groups = {"all": np.ones_like(normal), "normal": normal, "anomalous": ~normal}
    if config.hierarchy == "none":
        return Finding({f"rank_correlation/{name}": None for name in groups})
    scores = trained_scorer(config, trained).score(trained.test)
    own, general = scores["likelihood"], scores["general_likelihood"]
    numbers = {f"rank_correlation/{name}": ranked(general[rows], own[rows]) for name, rows in groups.items()}
    return Finding(numbers, {"likelihoods": scatter(general, own, trained.test_anomalous)})


def ranked(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's rho; None where it is undefined."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)
