"""A page of several runs side by side: what `compare` prints, with paired tests."""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from upath import UPath

from orchestrator.planning.request import absolute
from orchestrator.record.paths import RunPaths
from orchestrator.results.comparison import Comparison, Pair, compare
from orchestrator.results.report.page import page
from orchestrator.results.report.tables import UNDEFINED, across, difference_cells, markdown_table, p_of
from orchestrator.results.report.templates import TEMPLATES
from orchestrator.results.tables import LEAK
from workloads.files import write_atomically
from workloads.scoring.table import WHOLE

DRAWN = 6
"""Models that are drawn against each other: more make too many panels."""
LONGEST = 120
"""Characters of the runs in the page's file name."""


def write_comparison(storage: str, runs: Sequence[str], part: str = WHOLE) -> tuple[Comparison, UPath]:
    """The comparison, and its page in the first run's report folder. Raises UserError as `compare`."""
    comparison = compare(storage, list(runs), part)
    folder = RunPaths(absolute(storage), runs[0]).report
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"compared-{file_name(runs[1:])}.html"
    write_atomically(path, compared_page(comparison, runs, part).encode())
    return comparison, path


def file_name(runs: Sequence[str]) -> str:
    """Names of runs as a file has them, by a sign that is in none; of long ones the first, and a digest of all."""
    whole = "+".join(runs)
    digest = blake2b(whole.encode(), digest_size=4).hexdigest()
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - len(digest) - 1]}+{digest}"


def compared_page(comparison: Comparison, runs: Sequence[str], part: str) -> str:
    """The whole page as HTML."""
    models, pictures = comparison.models, {}
    if 1 < len(models) <= DRAWN and np.isfinite(comparison.correlations).all():
        from orchestrator.results.report.curves import correlation_plot  # matplotlib takes a second

        names, scores = [model.name for model in models], [model.finite for model in models]
        pictures["correlation.png"] = correlation_plot(names, scores, comparison.correlations, part)
    title = f"{', '.join(runs[:-1])} and {runs[-1]}"
    tables = {"correlations": correlations(comparison), "tests": paired_tests(comparison)}
    text = TEMPLATES.get_template("comparison.md.jinja").render(
        title=title, part=part, comparison=comparison, drawn=bool(pictures), by_class=by_class, LEAK=LEAK, **tables
    )
    return page(title, re.sub(r"\n{3,}", "\n\n", text), pictures)


def correlations(comparison: Comparison) -> str:
    """Spearman's rho of every two models, and of how many images."""
    names = comparison.marked(f"(**{LEAK}**)")
    pairs = zip(comparison.correlations, comparison.shared, strict=True)
    rows = [
        [name, *(f"{UNDEFINED if np.isnan(rho) else f'{rho:.3f}'} ({count})" for rho, count in zip(*row, strict=True))]
        for name, row in zip(names, pairs, strict=True)
    ]
    return across(["", *names], rows)


def paired_tests(comparison: Comparison) -> str:
    """Every two runs: the difference of their means over the targets that both have, and whether it is chance."""
    heads = [
        "first",
        "second",
        "classes",
        "difference",
        "95 % interval",
        "p, paired",
        "p, over classes",
        "p, over seeds",
    ]
    marks = {name: f"{name} (**{LEAK}**)" for name in comparison.leaks}
    rows = []
    for pair in comparison.pairs:
        names = [marks.get(name, name) for name in (pair.first, pair.second)]
        rows.append(
            [
                *names,
                str(len(pair.classes)),
                *difference_cells(pair.mean),
                p_of(pair.wilcoxon),
                p_of(pair.seeds.p if pair.seeds else None),
            ]
        )
    return markdown_table(heads, rows)


def by_class(pair: Pair) -> str:
    """The difference of each target."""
    heads = ["class", "normal", "anomalous", "difference", "95 % interval", "p, paired"]
    classes = pair.classes.items()
    return markdown_table(heads, ([name, *map(str, item.images), *difference_cells(item)] for name, item in classes))
