"""What a sweep's trials tell together, as Markdown tables."""

import numpy as np

from orchestrator.results.report.tables import markdown_table, number, ranged
from orchestrator.results.sweep import Course, Sweep, text_of
from orchestrator.results.tables import LEAK

SEED = "seed"


def importance_table(sweep: Sweep) -> str:
    """Keys by their importance; empty where there are too few trials for it."""
    known = [(effect.key, *effect.importance) for effect in sweep.effects if effect.importance]
    rows = [[key, f"{mean:.2f}", f"{spread:.2f}"] for key, mean, spread in sorted(known, key=lambda item: -item[1])]
    return markdown_table(["key", "importance", "standard deviation"], rows) if rows else ""


def selected_table(sweep: Sweep) -> str:
    """The winner beside the trial that an oracle would have picked, with what each would have said of itself."""
    (winner,) = [course for course in sweep.courses if course.id == sweep.best]
    ended = [course for course in sweep.courses if 1000 in course.rungs and course.last[1] is not None]
    if not ended:
        return ""
    oracle = max(ended, key=lambda course: course.last[1] or 0.0)
    rows = [_picked("the criterion", winner), _picked(f"an oracle (**{LEAK}**)", oracle)]
    return markdown_table(["picked by", sweep.criterion, "mean test AUROC", "trial", "keys"], rows, text=2)


def _picked(by: str, course: Course) -> list[str]:
    point = ", ".join(f"{key}={text_of(value)}" for key, value in course.point.items())
    criterion, area = course.last
    shown = ranged(area, course.interval) if course.interval else number(area)
    return [by, number(criterion), shown, f"`{course.id}`", point]


def seeds_table(sweep: Sweep) -> str:
    """Mean and spread over the seeds of every point that was trained with several; empty where none was."""
    points: dict[tuple[str, ...], list[float]] = {}
    for course in sweep.courses:
        if 1000 in course.rungs and course.last[1] is not None:
            point = tuple(f"{key}={text_of(value)}" for key, value in course.point.items() if key != SEED)
            points.setdefault(point, []).append(course.last[1])
    rows = [
        [
            ", ".join(point) or "all",
            str(len(areas)),
            number(float(np.mean(areas))),
            number(float(np.std(areas, ddof=1))),
        ]
        for point, areas in points.items()
        if len(areas) > 1
    ]
    heads = ["keys", "seeds", "mean test AUROC", "standard deviation over the seeds"]
    return markdown_table(heads, rows) if rows and SEED in sweep.axes else ""
