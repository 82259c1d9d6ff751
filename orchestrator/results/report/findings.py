"""The part of a report that shows the analyses: a table of numbers a name, and its pictures."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from orchestrator.results.report.tables import markdown_row, number

Findings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""analysis -> class -> {"numbers": name -> value or None, "pictures": stem -> file name}."""


def analyses(findings: Findings, titles: Mapping[str, str]) -> str:
    """One section an analysis: rows are its numbers, columns the classes, then every class's pictures."""
    parts = []
    for name, targets in findings.items():
        names = list(dict.fromkeys(key for found in targets.values() for key in found["numbers"]))
        lines = [f"## Analysis: {name}", "", titles.get(name, "")]
        if names:
            lines += ["", markdown_row(["", *targets]), "|---|" + "---:|" * len(targets)]
        for key in names:
            cells = [targets[t]["numbers"].get(key) for t in targets]
            lines.append(markdown_row([key, *map(shown, cells)]))
        for target, found in targets.items():
            for stem, file in found["pictures"].items():
                address = f"../analyses/{name}/{quote(file)}"
                lines += ["", f"![{name}: {target}, {stem}]({address})", "", f"*{target}: {stem}*"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def shown(value: float | None) -> str:
    """In [0, 1] as AUROCs are shown, other numbers with three digits that matter."""
    return number(value) if value is None or 0 <= value <= 1 else f"{value:.3g}"
