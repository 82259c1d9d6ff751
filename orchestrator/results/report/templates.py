"""The templates of a report. HTML is escaped; Markdown is not, for the page shows HTML in it as text."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from orchestrator.results.report import sections
from orchestrator.results.report.out import set_means
from orchestrator.results.report.tables import LEAK, number, to_markdown
from workloads.scoring.selection import CRITERIA

TEMPLATES = Environment(
    loader=PackageLoader(__package__, "."),
    autoescape=select_autoescape(["html.jinja"]),
    trim_blocks=True,
    undefined=StrictUndefined,
)
TABLES = (
    *(sections.per_part, sections.intervals, sections.group_intervals, sections.numbers, sections.all_trials),
    *(sections.per_class, sections.parts_alone, sections.cost_table, number),
)
TEMPLATES.filters |= {table.__name__: table for table in TABLES} | {"markdown": to_markdown}
TEMPLATES.globals |= {
    "LEAK": LEAK,
    "criteria": CRITERIA,
    "label_free": sections.LABEL_FREE,
    "set_means": set_means,
    "group_counts": sections.group_counts,
}
