"""What people read of a run in MLflow, as plain data: names, tags, parameters, the dataset and a description."""

import csv
import getpass
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import fmean, stdev
from typing import Any
from urllib.parse import quote

from orchestrator.record.paths import RunPaths
from orchestrator.record.provenance import without_secrets
from orchestrator.record.state import RunState, State, TrialState

LONGEST = 36
"""Characters of a dataset's digest that MLflow takes."""
WIDEST = 40
"""Columns of a description's table; of more only the mean is shown."""
COMPARED = 100
"""Runs on a page that compares them: MLflow asks for each."""
CLASSIC = "workflowType=machine_learning"
"""Without it in a link MLflow 3 opens its view for language models, with nothing in it."""
COMMIT = "mlflow.source.git.commit"
PORT = 5000
"""Of the pages that `ui` opens, where it is free: MLflow's own choice."""
PAGES = f"http://127.0.0.1:{PORT}"


def run_name(state: RunState, run: str) -> str:
    """Of the parent: space, preset, seed, and the run's own name."""
    opened, seeds = state.opened, state.seeds
    trained = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return f"{opened.name} · {opened.preset} · {trained} · {run}"


def trial_names(state: RunState) -> dict[str, str]:
    """Trial -> its number in the plan and its point in a few words, `#3 batch 8 · noise .05`; one that was stopped says
    where."""
    trials = state.trials
    axes = short_names([key for key in state.varying if key in next(iter(trials.values())).point])
    names = {}
    for number, trial in enumerate(trials.values(), 1):
        point = " · ".join(f"{axes[key]} {short_value(trial.point.get(key))}" for key in axes)
        end = f" (stopped at {trial.reached / 10:g} %)" if trial.state == State.STOPPED else ""
        names[trial.id] = f"#{number} {point or state.opened.name}{end}"
    return names


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Key -> its first words, as many as tell it from the other keys: `batch_size` is `batch`."""
    names = {}
    for key in keys:
        words = key.split("_")
        others = [other.split("_") for other in keys if other != key]
        enough = (n for n in range(1, len(words)) if all(other[:n] != words[:n] for other in others))
        names[key] = " ".join(words[: next(enough, len(words))])
    return names


def short_value(value: Any) -> str:
    """As people write it: .05, 3, mean."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text[1:] if text.startswith("0.") else text


def outcome_of(trial: TrialState) -> str:
    """How a trial stands, in words that a column of MLflow shows."""
    if trial.state == State.STOPPED:
        return f"stopped early at {trial.reached / 10:g} %"
    return str(trial.state)


def params_of(state: RunState, trial: TrialState) -> dict[str, Any]:
    """What the trials differ in; of a single one what the space says. The whole config is an artifact."""
    return {key: trial.point[key] for key in state.varying} or {**state.space.fixed, **trial.point}


def run_params(state: RunState) -> dict[str, Any]:
    """What all trials have in common."""
    return {**state.space.fixed, "trials": state.expected, "space": state.opened.name, "preset": state.opened.preset}


def seed_numbers(state: RunState, best: TrialState) -> dict[str, float | None]:
    """Mean test AUROC over the seeds of the winner's point, and its spread; nothing where there is one seed."""
    areas = state.areas_by_seed(best.id).values()
    return {"seeds/auroc_mean": fmean(areas), "seeds/auroc_spread": stdev(areas)} if len(areas) > 1 else {}


def source_tags(state: RunState) -> dict[str, str]:
    """Where the numbers come from, in MLflow's own fields and a few of ours."""
    opened = state.opened
    commit, _, changes = opened.provenance.git_commit.partition("+")
    tags = {"mlflow.source.name": opened.source, "mlflow.source.type": "LOCAL", "selection": state.space.select_by}
    tags |= {"identity.data": opened.identity.data, "identity.code": opened.identity.code}
    tags |= {COMMIT: commit} if commit else {}
    tags |= {"mlflow.source.git.dirty": "true"} if changes else {}
    with suppress(OSError, KeyError):  # a user without a name
        tags["mlflow.user"] = getpass.getuser()
    return tags | ({"leak": "selected by test labels"} if state.leak else {})


def dataset_of(state: RunState) -> dict[str, str]:
    """Fields of MLflow's dataset."""
    opened, data = state.opened, state.space.data
    uri = {"name": data.name, "path": str(data.path) if data.path else "", "side": data.side}
    return {
        "name": f"{opened.dataset} at {data.side}x{data.side}",
        "digest": opened.identity.data[:LONGEST],
        "source_type": "code",
        "source": json.dumps(uri),
        "profile": json.dumps({"images": opened.counts, "targets": list(opened.targets)}),
    }


def runs_page(server: str, experiment: str) -> str:
    """The link of an experiment's table of runs."""
    return f"{server}/#/experiments/{experiment}/runs?{CLASSIC}"


def run_page(server: str, experiment: str, run: str) -> str:
    """The link of a run's page in the right view. server: its address; empty within MLflow's own pages."""
    return f"{server}/#/experiments/{experiment}/runs/{run}?{CLASSIC}"


def model_page(server: str, experiment: str, model: str) -> str:
    """The link of a logged model's page."""
    return f"{server}/#/experiments/{experiment}/models/{model}?{CLASSIC}"


def compare_page(server: str, experiment: str, runs: Sequence[str]) -> str:
    """The link of a page that compares runs, the first `COMPARED` of them, by parallel coordinates."""
    chosen, where = (quote(json.dumps(names)) for names in (list(runs)[:COMPARED], [experiment]))
    return f"{server}/#/compare-runs?runs={chosen}&experiments={where}&{CLASSIC}"


def server_of(uri: str, otherwise: str = "") -> str:
    """The address that MLflow's pages of a tracking URI have, without a password; `otherwise` for a database's."""
    return without_secrets(uri).rstrip("/").replace("://***@", "://") if uri.startswith("http") else otherwise


def description(paths: RunPaths, state: RunState, pages: Mapping[str, str]) -> str:
    """Markdown: the table of AUROC, the command, and where to look further. pages: what a link shows -> the link."""
    opened = state.opened
    lines = [f"{opened.doc.strip().splitlines()[0] if opened.doc.strip() else opened.name}", ""]
    table = paths.report / "table.csv"
    if table.exists():
        lines += [*table_lines(table.read_text(encoding="utf-8")), ""]
    lines += ["```", opened.provenance.command or f"orchestrator launch {opened.name}", "```", ""]
    lines += [f"- [{name}]({link})" for name, link in pages.items()]
    return "\n".join([*lines, f"- report: artifact `report/report.html`, file `{paths.report / 'report.html'}`"])


def table_lines(text: str) -> list[str]:
    """A report's CSV as lines of a Markdown table."""
    heads, *rows = csv.reader(io.StringIO(text))
    first = 4 if len(heads) - 4 <= WIDEST else len(heads) - 1  # name, kind, leak and note stand before the classes
    shown = ["", "kind", *heads[first:]]
    lines = ["| " + " | ".join(map(cell, shown)) + " |", "|---|---|" + "---:|" * (len(shown) - 2)]
    for name, kind, leak, _, *values in rows:
        label = f"{name} (LEAK of test labels)" if leak == "true" else name
        numbers = [f"{float(value):.3f}".removeprefix("0") if value else "–" for value in values[first - 4 :]]
        lines.append("| " + " | ".join(map(cell, [label, kind, *numbers])) + " |")
    return lines


def cell(text: str) -> str:
    return text.replace("|", "\\|")
