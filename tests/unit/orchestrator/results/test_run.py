"""Report and MLflow show the same numbers, column by column, whatever the protocol, and both are scikit-learn's."""

import io
import json
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import average_precision_score, roc_auc_score

from orchestrator.console.auroc_view import AurocTable
from orchestrator.planning.options import Options
from orchestrator.record.events import RungMetrics, RungReached, State, TrialMoved
from orchestrator.record.paths import BASELINE
from orchestrator.record.state import TrialState
from orchestrator.record.tracking.tracker import shown_numbers
from orchestrator.results.evaluation import combined, metrics_of, write_table
from orchestrator.results.report.tables import number
from orchestrator.results.run import conclude, table_of
from orchestrator.results.tables import OTHER_METRICS, trial_row
from tests.helpers.files import flip
from tests.helpers.records import ledger_at, measured, opened, trial_plan
from workloads.files import DamagedFileError, remove_checked
from workloads.registry import method
from workloads.scoring.image_metrics import ImageMetrics
from workloads.scoring.table import WHOLE, join, rows

pytestmark = pytest.mark.usefixtures("undrawn")


class Made:
    """A finished run with made scores. tests: target -> (normal, anomalous) test images. out: set -> images. failed:
    split -> how many of its images no part could score."""

    def __init__(self, storage, space, tests, out, *, parts, data=None, schedule="smoke", options=None, failed=None):
        event = opened(space, options or Options(preset="smoke", points=1), targets=tuple(tests), schedule=schedule)
        if data:
            changed = event.space["data"] | data
            event = replace(event, space=event.space | {"data": changed}, dataset=changed["name"])
        state = ledger_at(storage, "empty", event)[1].state
        pooled = state.space.data.protocol == "in_out"
        point = state.space.points()[0]
        self.method = method(state.space.workload)(state.space.config(point))
        random, blocks = np.random.default_rng(0), []
        for target, (normal, anomalous) in tests.items():
            for part in parts:
                splits = {"test": np.repeat([False, True], [normal, anomalous])}
                splits |= {f"out/{name}": np.ones(count, bool) for name, count in out.items()}
                for split, marks in splits.items():
                    shift = 1.5 if split == "test" else 0.7
                    scores = random.normal(size=len(marks)) + shift * marks
                    scores[: (failed or {}).get(split, 0)] = np.inf
                    ids = [f"{split}/{i}" for i in range(len(marks))]
                    blocks.append(rows(target, split, part, ids, ["any"] * len(marks), marks, scores))
        table = join(blocks)
        self.table = join([table, combined(table, self.method)]).unify_dictionaries()
        self.metrics = RungMetrics.parse(json.loads(json.dumps(metrics_of(self.table, self.method, pooled=pooled))))
        self.paths, ledger = ledger_at(
            storage,
            "run",
            replace(event, trials=(trial_plan("t", point),)),
            TrialMoved("t", State.RUNNING),
            RungReached("t", 1000, self.metrics),
            TrialMoved("t", State.FINISHED),
        )
        write_table(self.paths.trial("t").scores(1000), self.table)
        self.state = ledger.state
        self.results = conclude(self.paths, self.state)
        self.report = json.loads((self.paths.report / "report.json").read_text())
        self.text = (self.paths.report / "report.md").read_text()

    def tested(self, target, out=""):
        """The whole detector's rows that its AUROC is over."""
        frame = self.table.to_pandas().query("part == 'all' and target == @target")
        tested = frame["split"] == "test"
        return frame[tested & ~frame["anomalous"] | (frame["split"] == f"out/{out}")] if out else frame[tested]

    def area(self, target, out=""):
        """scikit-learn's, of the whole detector."""
        chosen = self.tested(target, out)
        return roc_auc_score(chosen["anomalous"], chosen["score"])


SETS = ("rDIGITS", "Noise")
LEVELS = tuple(f"level_{k}" for k in (1, 2, 4, 8, 16))
FLOW = ("ratio", "likelihood")
SCORES = tuple(f"{score}/5" for score in ("klods_prior", "klods_train", "god_2ks", "typicality"))
FOLDER = {"name": "folder", "path": "photographs", "out": ["digits"]}

PROTOCOLS = {
    "one class": (
        ("sweep_digits", {"3": (40, 60), "8": (30, 70)}, {}, LEVELS, None),
        {"3": ("3", ""), "8": ("8", ""), "mean": "auroc/mean"},
    ),
    "one class, out sets": (
        ("ood_digits", {"3": (40, 60), "8": (30, 70)}, {"noise": 50}, LEVELS, None),
        {"3": ("3", ""), "8": ("8", ""), "mean": "auroc/mean"},
    ),
    "in and out": (
        ("flow_fashion_digits", {"fashion_mnist": (80, 0)}, {"digits": 40, "noise": 30}, FLOW, None),
        {"DIGITS": ("fashion_mnist", "digits"), "Noise": ("fashion_mnist", "noise"), "mean": "auroc_out/mean"},
    ),
    "a folder with anomalies of its own": (
        ("flow_fashion_digits", {"folder": (100, 400)}, {"digits": 64}, FLOW, FOLDER),
        {"DIGITS": ("folder", "digits"), "own anomalies": ("folder", ""), "mean": "auroc_out/mean"},
    ),
    "groups": (
        (
            "klods_fashion_digits",
            {"fashion_mnist": (40, 0)},
            {"digits": 20},
            ("klods_prior/5", "klods_train/5"),
            {"out": ["digits"]},
        ),
        {"DIGITS": ("fashion_mnist", "digits"), "mean": "auroc_out/mean"},
    ),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_report_and_mlflow_show_the_same_numbers_and_they_are_right(tmp_path, protocol):
    (space, tests, out, parts, data), columns = PROTOCOLS[protocol]
    made = Made(tmp_path, space, tests, out, parts=parts, data=data)
    mlflow = shown_numbers(made.metrics)
    table, mean = made.report["table"], columns.pop("mean")
    assert table["classes"] == list(columns)
    whole = next(r for r in table["rows"] if r["kind"].startswith("measured") and r["name"] in (WHOLE, "MLSAD"))
    names = {heading: f"auroc_out/{o}/{t}" if o else f"auroc/{t}" for heading, (t, o) in columns.items()}
    assert whole["values"] == {heading: mlflow[name] for heading, name in names.items()}
    for heading, (target, name) in columns.items():
        assert whole["values"][heading] == pytest.approx(made.area(target, name), abs=1e-12)
    assert whole["mean"] == mlflow[mean]
    for heading, name in {**names, "mean": mean}.items():
        kind, _, rest = name.partition("/")
        assert made.report["intervals"][heading] == [mlflow[f"{kind}_low/{rest}"], mlflow[f"{kind}_high/{rest}"]]
        assert f"{number(mlflow[f'{kind}_low/{rest}'])} to {number(mlflow[f'{kind}_high/{rest}'])}" in made.text
    trial = made.report["trials"][0]
    assert trial["classes"] == whole["values"]
    tested = {made.report["selection"]["auroc"], trial["auroc"], mlflow["oracle"], mlflow["auroc/mean"]}
    assert tested == {whole["mean"]}, "there is one mean test AUROC"
    assert f"mean AUROC {number(whole['mean'])} [" in made.text
    assert f"- mean test AUROC: {number(whole['mean'])}" in made.text
    assert mlflow["auroc_low/mean"] == made.report["intervals"]["mean"][0]
    averages = {row["name"]: row["mean"] for row in table["rows"] if row["kind"] == whole["kind"]} if out else {}
    alone = {part: averages[part] for part in trial["levels"] if part in averages}
    assert alone == {part: trial["levels"][part] for part in alone}
    assert set(alone) == (set(parts) if made.state.space.data.protocol == "in_out" else set())


IMAGE_TITLES = {name: OTHER_METRICS[name] for name in ImageMetrics._fields}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_second_table_shows_what_mlflow_has_and_that_is_right(tmp_path, protocol):
    (space, tests, out, parts, data), columns = PROTOCOLS[protocol]
    made = Made(tmp_path, space, tests, out, parts=parts, data=data)
    mlflow, headings = shown_numbers(made.metrics), [name for name in columns if name != "mean"]
    section = made.text.partition("## Other metrics")[2].partition("\n## ")[0]
    assert list(made.report["other_metrics"]) == list(IMAGE_TITLES.values()), "no masks, no numbers of pixels"
    for name, title in IMAGE_TITLES.items():
        values = made.report["other_metrics"][title]
        assert list(values) == [*made.report["table"]["classes"], "mean"]
        for heading in headings:
            target, out_set = columns[heading]
            assert values[heading] == mlflow[f"{name}_out/{out_set}/{target}" if out_set else f"{name}/{target}"]
        assert values["mean"] == mlflow[f"{name}/mean"]
        assert f"| {title} | {' | '.join(number(value) for value in values.values())} |" in section
    for heading in headings:
        tested = made.tested(*columns[heading])
        shown = made.report["other_metrics"][IMAGE_TITLES["average_precision"]][heading]
        assert shown == pytest.approx(average_precision_score(tested["anomalous"], tested["score"]), abs=1e-12)


def test_a_run_of_an_earlier_version_has_them_from_its_score_table(tmp_path):
    (space, tests, out, parts, data), _ = PROTOCOLS["one class, out sets"]
    made = Made(tmp_path, space, tests, out, parts=parts, data=data)
    numbers = {k: v for k, v in made.metrics.numbers.items() if k.partition("/")[0] not in IMAGE_TITLES}
    made.state.trials["t"].rungs[1000] = replace(made.metrics, numbers=numbers)
    conclude(made.paths, made.state)
    again = json.loads((made.paths.report / "report.json").read_text())
    assert again["other_metrics"] == made.report["other_metrics"]


def test_what_could_not_be_scored_ranks_above_all_in_the_second_table_too(tmp_path):
    made = Made(tmp_path, "sweep_digits", {"3": (40, 60)}, {}, parts=LEVELS, failed={"test": 30})
    assert made.report["other_metrics"][IMAGE_TITLES["fpr95"]]["3"] >= 0.75, "30 of 40 normal images failed"


def test_parts_and_means_by_out_set_are_mlflows_too(tmp_path):
    made = Made(tmp_path, "ood_digits", {"3": (40, 60), "8": (30, 70)}, {"noise": 50}, parts=LEVELS)
    mlflow, out = shown_numbers(made.metrics), made.report["out_of_distribution"]
    section = made.text.partition("## Out of distribution")[2].partition("\n## ")[0]
    all_rows = next(row for row in out["rows"] if row["name"] == WHOLE)
    names = {f"{t}/{s}": f"auroc_out/noise/{t}" if s == "Noise" else f"auroc/{t}" for t, s in product("38", SETS)}
    assert all_rows["values"] == {heading: mlflow[name] for heading, name in names.items()}
    for heading, name in {"rDIGITS": "auroc/mean", "Noise": "auroc_out/noise/mean"}.items():
        kind, _, rest = name.partition("/")
        low, high = (number(mlflow[f"{kind}_{end}/{rest}"]) for end in ("low", "high"))
        assert f"{heading} {number(mlflow[name])} [{low}, {high}]" in section
    for row in out["rows"]:
        level = row["name"].removeprefix("level_")
        means = {name: np.mean([row["values"][f"{t}/{name}"] for t in ("3", "8")]) for name in ("rDIGITS", "Noise")}
        if row["name"] == WHOLE:
            assert row["values"]["8/Noise"] == mlflow["auroc_out/noise/8"]
            assert means == pytest.approx({"rDIGITS": mlflow["auroc/mean"], "Noise": mlflow["auroc_out/noise/mean"]})
        else:
            expected = {"rDIGITS": mlflow[f"auroc_level/{level}"], "Noise": mlflow[f"auroc_out_level/{level}/noise"]}
            assert means == pytest.approx(expected)
    assert not any("**." in line or "**1." in line for line in section.splitlines()), "the best part is no choice"


@pytest.mark.parametrize("count", [0, 3, 64])
def test_an_auroc_over_images_that_could_not_be_scored_is_marked_or_none(tmp_path, count):
    tests, out, failed = {"folder": (100, 400)}, {"digits": 64, "noise": 30}, {"out/digits": count}
    data = FOLDER | {"out": ["digits", "noise"]}
    made = Made(tmp_path, "flow_fashion_digits", tests, out, parts=FLOW, data=data, failed=failed)
    *_, whole = (row for row in made.report["table"]["rows"] if row["name"] == WHOLE)
    assert (whole["values"]["DIGITS"] is None) == (count == 64)
    (line,) = (line for line in made.text.splitlines() if line.startswith("| all |"))
    cells = line.strip("| ").split(" | ")[1:]
    assert [cell.endswith("†") for cell in cells] == [count > 0, False, False, count > 0]
    assert cells[0] == number(whole["values"]["DIGITS"]) + "†" * (count > 0)
    headline = next(line for line in made.text.splitlines() if line.startswith("**all**"))
    assert ("]†" in headline) == (count > 0)
    counts = f"rank above all others: DIGITS {count} of 164"
    assert [counts in text for text in (headline, made.text.partition("## AUROC")[2])] == [count > 0] * 2
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(AurocTable(made.results.table))
    assert (counts in console.export_text()) == (count > 0)


def test_out_sets_beside_classes_have_intervals_and_say_what_was_not_scored(tmp_path):
    tests, out, failed = {"3": (40, 60), "8": (30, 70)}, {"noise": 50}, {"out/noise": 2}
    made = Made(tmp_path, "ood_digits", tests, out, parts=LEVELS, failed=failed)
    mlflow = shown_numbers(made.metrics)
    section = made.text.partition("## Out of distribution")[2].partition("\n## ")[0]
    for target, normal in {"3": 40, "8": 30}.items():
        low, high = (number(mlflow[f"auroc_out_{end}/noise/{target}"]) for end in ("low", "high"))
        area = number(mlflow[f"auroc_out/noise/{target}"])
        assert f"| {target}/Noise | {normal} | 50 | 2 | {area} | {low} to {high} |" in section
    assert f"Noise {number(mlflow['auroc_out/noise/mean'])} [" in section
    assert "]†. No cell" in section, "the mean is marked"
    assert made.results.unscored_sets == {"Noise"}


def test_own_anomalies_have_a_column_of_their_own_and_are_in_no_other(tmp_path):
    made = Made(tmp_path, "flow_fashion_digits", {"folder": (100, 400)}, {"digits": 64}, parts=FLOW, data=FOLDER)
    lines = dict(re.findall(r"^\| (DIGITS|own anomalies) \| (\d+ \| \d+) \|", made.text, re.MULTILINE))
    assert lines == {"DIGITS": "100 | 64", "own anomalies": "100 | 400"}
    assert "over 1 of 1 out sets" in made.text
    assert "`own anomalies` are test images" in made.text


def test_intervals_of_groups_are_of_the_numbers_that_mlflow_shows(tmp_path):
    made = Made(tmp_path, "klods_digits", {"3": (20, 40), "8": (20, 40)}, {}, parts=SCORES)
    section = made.text.partition("## Groups and intervals")[2].partition("\n## ")[0]
    cells = {
        line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:]
        for line in section.splitlines()
        if "|" in line
    }
    for part in SCORES:
        values = made.metrics.levels[part]
        assert [cell.partition(" [")[0] for cell in cells[part]] == [number(values[target]) for target in ("3", "8")]
        assert shown_numbers(made.metrics)[f"auroc_level/{part}"] == np.mean([values["3"], values["8"]])
    assert "- groups of 5, normal and anomalous: 3 20 and 40, 8 20 and 40" in section


def test_groups_are_called_groups_and_never_rivals_of_single_images(tmp_path):
    groups = Made(tmp_path / "klods", "klods_digits", {"3": (20, 40), "8": (20, 40)}, {}, parts=SCORES)
    assert groups.report["table"]["rows"][0]["name"] == "KLODS, groups of 5"
    images = Made(tmp_path / "mlsad", "sweep_digits", {"3": (20, 40)}, {}, parts=LEVELS)
    assert images.report["table"]["rows"][0]["name"] == "MLSAD"


def test_a_trial_is_shown_by_column_once_it_has_reached_the_end(tmp_path):
    made = Made(tmp_path, "sweep_digits", {"3": (20, 40)}, {}, parts=LEVELS)
    trial = TrialState("t", {}, rungs={500: measured(**{"auroc/3": 0.9})})
    assert trial_row(trial, type(made.method), None)["classes"] == {}


@pytest.mark.parametrize(
    ("space", "change", "why"),
    [
        ("ood_cifar10", "dropout=0.0", "dropout is 0.0"),
        ("ood_cifar10", "lambda_entropy=0.0", "lambda_entropy is 0.0 (the paper: 1.0)"),
        ("ood_cifar10", "batch_size=16", "batch_size is 16 (the paper: 8)"),
        ("ood_cifar10", None, ""),
    ],
)
def test_the_papers_schedule_is_claimed_only_where_it_is_the_papers(tmp_path, space, change, why):
    """The launch had called it the paper's, as launches of earlier versions did."""
    options = Options(preset="paper", set=[change] if change else [])
    tests = {"dog": (30, 30)}
    made = Made(tmp_path, space, tests, {"noise": 20}, parts=LEVELS, schedule="paper", options=options)
    kind = made.report["table"]["rows"][0]["kind"]
    assert kind == ("measured (custom schedule)" if why else "measured (paper schedule)")
    beside = made.text.partition("## Best configuration")[0]
    assert why in beside.partition("## AUROC")[2], "the label is explained beside the numbers"
    assert ("custom, not the paper's" in beside) == bool(why)
    choices = made.text.partition("is our choice:")[2].partition("\n## ")[0]
    assert choices.count("\n- ") >= 20
    assert "`generator_ema` = 0.999" in choices


def test_what_the_log_said_of_the_images_stands_in_the_report(tmp_path):
    made = Made(tmp_path, "sweep_digits", {"3": (20, 40)}, {}, parts=LEVELS)
    state = replace(made.state, opening=replace(made.state.opened, remarks=("3 auxiliary images are tested, too",)))
    conclude(made.paths, state)
    assert "- 3 auxiliary images are tested, too" in (made.paths.report / "report.md").read_text()


def test_a_single_trial_is_no_leak_whatever_would_choose_among_several(tmp_path):
    options = Options(preset="smoke", points=1, select_by="oracle", scheduler="fifo")
    made = Made(tmp_path, "sweep_digits", {"3": (40, 60)}, {}, parts=LEVELS, options=options)
    assert made.state.space.select_by == "oracle"
    assert "nothing: one configuration was given" in made.text
    assert not any(row.leak for row in made.results.table.rows)


def test_a_report_names_a_baseline_that_it_lacks_and_a_score_file_that_is_no_table(tmp_path):
    made = Made(tmp_path, "sweep_digits", {"3": (40, 60)}, {}, parts=LEVELS)
    identity = replace(made.state.opened.identity, baselines="b")
    state = replace(made.state, opening=replace(made.state.opened, identity=identity))
    places = {name: made.paths.baselines / key / BASELINE for name, key in identity.baseline_keys.items()}
    damaged, *missing = places.items()
    write_table(damaged[1], made.table)
    assert not any(damaged[0] in warning for warning in conclude(made.paths, state).warnings)
    flip(damaged[1])
    said = [warning for warning in conclude(made.paths, state).warnings if "is left out" in warning]
    assert len(said) == 1 + len(missing)
    assert f"{damaged[0]} is left out: a file differs from its checksum" in said[0]
    assert all(f"{name} is left out: a score file is missing ({file})" in "".join(said) for name, file in missing)
    assert list(table_of(made.paths, state, state.winner).notes[-len(said) :]) == said
    scores = made.paths.trial("t").scores(1000)
    made.paths.format_1_ledger.touch()  # files of an earlier version have no checksums
    for content in (b"", scores.read_bytes()[:100], None):
        remove_checked(scores)
        if content is not None:
            scores.write_bytes(content)
        with pytest.raises(DamagedFileError, match="a score file is") as refused:
            conclude(made.paths, state)
        assert refused.value.where == str(scores)
