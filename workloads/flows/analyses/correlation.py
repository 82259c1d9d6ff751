"""Model bias and domain prior: a flow of one class and a flow of everything rank images almost alike."""

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor

from workloads.data.view import TargetView
from workloads.figures import Picture, drawn
from workloads.flows.config import FlowConfig
from workloads.flows.scorer import FlowScorer, trained_scorer
from workloads.learner import Finding, Fitted

NORMAL, ANOMALOUS = "#0072B2", "#E69F00"  # of Okabe and Ito: told apart with any common colour blindness


def correlation(config: FlowConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """Spearman's rank correlation of images' likelihoods under the target's flow and under the general flow.

    Numbers in [-1, 1]: over the `normal` test images, over each group of anomalies (the `anomalous` test images where
    there are any, and the out sets by name), and over `all` of these together; None where a group has fewer than two
    images, where a likelihood never varies, or without a general flow. Near 1, the likelihood says what any image is
    like and little of the target; what sets the two flows apart is the ratio. Picture: `likelihoods`, bits/dim under
    the general flow to the right and under the target's upwards; anomalies are orange.
    Source: Schirrmeister et al., NeurIPS 2020, Figure 2.
    """
    groups = {"normal": view.test_images(anomalous=False)}
    if view.anomalous.any():
        groups["anomalous"] = view.test_images(anomalous=True)
    groups |= view.out
    if config.hierarchy == "none":
        return Finding({f"rank_correlation/{name}": None for name in ("all", *groups)})
    scorer = trained_scorer(config, view, fitted)
    pairs = {name: likelihoods(scorer, images) for name, images in groups.items()}
    together = np.concatenate(list(pairs.values()), axis=1)
    numbers = {f"rank_correlation/{name}": ranked(*pair) for name, pair in ({"all": together} | pairs).items()}
    anomalous = np.arange(together.shape[1]) >= pairs["normal"].shape[1]
    return Finding(numbers, {"likelihoods": scatter(together[0], together[1], anomalous)})


def scatter(general: np.ndarray, target: np.ndarray, anomalous: np.ndarray) -> Picture:
    """Points of images, (N,) bits/dim. The axes reach over 98 % of the values; what lies beyond is at the border."""
    figure = Figure(figsize=(5.2, 5.2), dpi=110, layout="constrained")
    axes = figure.add_subplot(xlabel="general flow, bits/dim", ylabel="the target's flow, bits/dim")
    x, y = (np.clip(values, *np.percentile(values, (1, 99))) if len(values) else values for values in (general, target))
    shuffled = np.random.default_rng(0).permutation(len(x))  # neither colour lies on top
    axes.scatter(x[shuffled], y[shuffled], s=9, c=np.where(anomalous, ANOMALOUS, NORMAL)[shuffled])
    for name, colour in (("normal", NORMAL), ("anomalous", ANOMALOUS)):
        axes.scatter([], [], s=16, c=colour, label=name)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn(figure)


def likelihoods(scorer: FlowScorer, images: Tensor) -> np.ndarray:
    """(2, N) bits/dim under the general flow and under the target's."""
    scores = scorer.score(images)
    return np.stack([scores["general_likelihood"], scores["likelihood"]])


def ranked(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's rho; None where it is undefined."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)
