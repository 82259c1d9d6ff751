"""Scores of groups of images in a report: how sure each AUROC is, by score and group size, and how many groups there
were."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.results.report.tables import LEAK, markdown_row, ranged
from workloads.scoring.metrics import auroc, auroc_interval, per_part_auroc

SAID = """\
AUROC with its 95 % DeLong interval: the doubt from the number of groups, not from the training's seed nor from which \
images meet in a group. No image is in two groups of a size."""


def group_intervals(scores: pa.Table | None, leak: bool) -> str:
    """A section of Markdown: rows are the scores by group size, columns the targets; empty without groups.

    scores: columns of `workloads.scoring.table.SCHEMA`. leak: whether the configuration was picked by test AUROC.
    """
    if scores is None:
        return ""
    tested = scores.filter(pc.equal(scores["split"], "test"))
    areas = per_part_auroc(tested)
    parts = [part for part in areas if group_size(part)]
    if not parts:
        return ""
    targets = list(areas[parts[0]])
    rows = [markdown_row(["score/group size", *targets]), "|---|" + "---:|" * len(targets)]
    counts: dict[int, list[str]] = {}
    for part in parts:
        of_part = tested.filter(pc.equal(tested["part"], part))
        found = [of_target(of_part, target) for target in targets]
        rows.append(markdown_row([part, *(ranged(auroc(*pair), auroc_interval(*pair)) for pair in found)]))
        said = [f"{target} {(~odd).sum()} and {odd.sum()}" for target, (_, odd) in zip(targets, found, strict=True)]
        counts.setdefault(group_size(part), said)
    listed = [f"- groups of {size}, normal and anomalous: {', '.join(said)}" for size, said in sorted(counts.items())]
    blocks = ["## Groups and intervals", f"**{LEAK}**. {SAID}" if leak else SAID, "\n".join(rows), "\n".join(listed)]
    return "\n\n".join(blocks)


def of_target(scores: pa.Table, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Its scores and which are anomalous, (G,) each."""
    rows = scores.filter(pc.equal(scores["target"], target))
    return rows["score"].to_numpy(), rows["anomalous"].to_numpy()


def group_size(part: str) -> int:
    """How many images a row of a part ``NAME/SIZE`` stands for; 0 for parts that score single images by themselves."""
    size = part.rpartition("/")[2]
    return int(size) if "/" in part and size.isdecimal() else 0
