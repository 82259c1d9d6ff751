"""The templates of a report. HTML is escaped; Markdown is not, for the page shows HTML in it as text."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from orchestrator.results.report import tables
from orchestrator.results.tables import LEAK
from workloads.scoring.selection import CRITERIA

TEMPLATES = Environment(
    loader=PackageLoader(__package__, "."),
    autoescape=select_autoescape(["html.jinja"]),
    trim_blocks=True,
    undefined=StrictUndefined,
)
TABLES = (
    tables.per_part, tables.intervals, tables.group_intervals, tables.other_metrics, tables.numbers, tables.all_trials,
    tables.ranged, tables.per_class, tables.parts_alone, tables.cost_table, tables.number, tables.failures,
    tables.account_table, tables.repeated_table,
)  # fmt: skip
TEMPLATES.filters |= {table.__name__: table for table in TABLES} | {"markdown": tables.to_markdown, "cell": tables.cell}
TEMPLATES.globals |= {
    "LEAK": LEAK,
    "UNSCORED": tables.UNSCORED,
    "criteria": CRITERIA,
    "label_free": tables.LABEL_FREE,
    "group_counts": tables.group_counts,
    "averaged": tables.averaged,
    "mean_unscored": tables.mean_unscored,
    "defined": tables.defined,
}
