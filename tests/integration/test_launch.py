"""The main job with real MLflow and real digits, at the smallest preset."""

import json

import mlflow
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from orchestrator.record.events import Closed, RungReached, StageEnded, TrialMoved
from orchestrator.record.ledger import Ledger, encode, read_events
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import State
from tests.helpers.launches import request_for, run


@pytest.fixture(scope="module")
def launched(storage):
    request = request_for(storage, name="first", executor="local", points=2, scheduler="asha")
    code, text = run(request)
    return RunPaths(str(storage), "first"), code, text


def ledger_of(paths):
    return Ledger(paths).state


def test_a_launch_ends_well_and_prints_table_report_and_mlflow(launched):
    paths, code, text = launched
    assert code == 0, text
    for expected in (
        "MLSAD",
        "5-NN",
        "mean",
        "best configuration",
        "-m orchestrator ui ",
        str(paths.report / "report.html"),
    ):
        assert expected in text


def test_every_auroc_is_that_of_the_score_file(launched):
    paths, _, _ = launched
    for trial in ledger_of(paths).trials.values():
        for rung, metrics in trial.rungs.items():
            table = pq.read_table(str(paths.trial(trial.id).scores(rung))).to_pandas()
            for target in ("3", "8"):
                rows = table.query("target == @target and split == 'test' and part == 'all'")
                assert len(rows) == 896
                expected = roc_auc_score(rows["anomalous"], rows["score"])
                assert metrics.numbers[f"auroc/{target}"] == pytest.approx(expected, abs=1e-12)


def test_the_whole_score_is_the_mean_over_levels(launched):
    paths, _, _ = launched
    best = next(t for t in ledger_of(paths).trials.values() if 1000 in t.rungs)
    table = pq.read_table(str(paths.trial(best.id).scores(1000))).to_pandas().query("split == 'test' and target == '8'")
    wide = table.pivot(index="image_id", columns="part", values="score")
    levels = [c for c in wide.columns if c.startswith("level_")]
    assert len(levels) == 5
    assert (wide[levels].mean(axis=1) - wide["all"]).abs().max() < 1e-6


def test_the_report_has_the_levels_alone_of_every_trial_that_ended(launched):
    paths, _, _ = launched
    shown = {t["trial"]: t["levels"] for t in json.loads((paths.report / "report.json").read_text())["trials"]}
    for trial in ledger_of(paths).trials.values():
        if 1000 not in trial.rungs:
            assert shown[trial.id] == {}
            continue
        table = pq.read_table(str(paths.trial(trial.id).scores(1000))).to_pandas().query("split == 'test'")
        assert len(shown[trial.id]) == 5
        for level, mean in shown[trial.id].items():
            alone = [rows for _, rows in table[table["part"] == level].groupby("target", observed=True)]
            expected = [roc_auc_score(rows["anomalous"], rows["score"]) for rows in alone]
            assert mean == pytest.approx(sum(expected) / 2, abs=1e-12)


def test_mlflow_has_one_parent_and_one_child_a_trial_with_per_class_auroc(launched):
    paths, _, _ = launched
    client = mlflow.MlflowClient(f"sqlite:///{paths.root}/mlflow.db")
    experiment = client.get_experiment_by_name("sweep_digits")
    runs = client.search_runs([experiment.experiment_id], "tags.`orchestrator.run` = 'first'")
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) == 1
    assert len(children) == 2
    assert parents[0].info.status == "FINISHED"
    best = next(r for r in children if "auroc/3" in r.data.metrics)
    assert {"auroc/3", "auroc/8", "auroc/mean", "auroc_level/16", "contrastive"} <= set(best.data.metrics)
    points = [trial.point for trial in Ledger(paths).state.trials.values()]
    assert set(best.data.params) == {key for key in points[0] if len({point[key] for point in points}) > 1}
    assert "width" in parents[0].data.params
    assert {"mlflow.source.name", "selection", "identity.data", "outcome"} <= set(best.data.tags)
    assert any(a.path.endswith(".parquet") for a in client.list_artifacts(best.info.run_id, "scores"))


def test_generators_are_trained_once_and_found_by_the_next_launch(launched, storage):
    paths, _, _ = launched
    first = {event.unit: event for event in read_events(paths) if isinstance(event, StageEnded)}
    assert len(first) == 6
    before = {p: p.stat().st_mtime_ns for p in (storage / "stages").rglob("*.tensors.safetensors")}
    code, _ = run(request_for(storage, name="second", executor="local", points=1, set=["noise=0.1"]))
    assert code == 0
    again = [event for event in read_events(RunPaths(str(storage), "second")) if isinstance(event, StageEnded)]
    assert all(event.reused for event in again)
    assert {event.unit: event.key for event in again} == {unit: event.key for unit, event in first.items()}
    assert {p: p.stat().st_mtime_ns for p in (storage / "stages").rglob("*.tensors.safetensors")} == before


def test_launching_a_finished_run_again_repeats_nothing(launched, storage):
    files = {p: p.stat().st_mtime_ns for p in (storage / "first" / "trials").rglob("*.parquet")}
    code, text = run(request_for(storage, name="first", executor="local", points=2, scheduler="asha"))
    assert code == 0
    assert "best configuration" in text
    assert {p: p.stat().st_mtime_ns for p in (storage / "first" / "trials").rglob("*.parquet")} == files


def is_end_of(trial, event):
    """Whether an event tells the last rung or the end of a trial, or that of the whole run."""
    match event:
        case RungReached():
            return event.trial == trial and event.rung == 1000
        case TrialMoved():
            return event.trial == trial and event.state == State.FINISHED
    return isinstance(event, Closed)


def test_an_interrupted_run_goes_on_where_it_was(launched, storage):
    """Forget the last rung of a finished trial: the resumed run trains exactly that and gets the same numbers."""
    paths, _, _ = launched
    done = next(t for t in ledger_of(paths).trials.values() if t.state == "finished")
    expected = done.rungs[1000]
    cut = [event for event in read_events(paths) if not is_end_of(done.id, event)]
    cut += [TrialMoved(done.id, State.INTERRUPTED)]
    (paths.ledger / "000001.jsonl").write_text("".join(map(encode, cut)))
    paths.trial(done.id).rung(1000).unlink()
    others = {p: p.stat().st_mtime_ns for p in (storage / "first" / "trials").rglob("rung-*.json")}
    code, text = run(request_for(storage, name="first", executor="local", points=2, scheduler="asha"))
    assert code == 0, text
    again = ledger_of(paths).trials[done.id].rungs[1000]
    assert {p: p.stat().st_mtime_ns for p in others} == others
    for key in ("auroc/mean", "auroc/3", "contrastive"):
        assert again.numbers[key] == expected.numbers[key]
    client = mlflow.MlflowClient(f"sqlite:///{paths.root}/mlflow.db")
    experiment = client.get_experiment_by_name("sweep_digits")
    runs = client.search_runs([experiment.experiment_id], "tags.`orchestrator.run` = 'first'")
    assert len(runs) == 3
    assert all(r.info.status != "RUNNING" for r in runs)


def test_a_run_of_another_space_is_refused(launched, storage):
    from workloads.errors import Kind, UserError

    with pytest.raises(UserError, match="another space") as refused:
        run(request_for(storage, name="first", executor="local", points=1))
    assert refused.value.kind == Kind.REFUSED


def test_the_winner_decides_on_a_folder_of_images(launched, tmp_path):
    import numpy as np
    from PIL import Image

    import orchestrator

    paths, _, _ = launched
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"not an image")
    out = tmp_path / "out" / "rows.parquet"
    made = orchestrator.predict(
        "first", tmp_path, target="8", false_alarms=0.1, out=out, maps=tmp_path / "out", storage=paths.storage
    )
    rows = pq.read_table(out).to_pandas().set_index("image")
    assert rows.index.tolist() == ["0.png", "1.png", "2.png", "broken.png"]
    assert made.counts["unreadable"] == 1
    assert rows["decision"]["broken.png"] == "unreadable"
    files = [tmp_path / f"{i}.png" for i in range(3)]
    detector = orchestrator.load("first", "8", storage=paths.storage)
    assert rows["score"].tolist()[:3] == pytest.approx(detector.score(files).tolist())
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(
        ["rows.parquet", *(f"{i}.png{ending}" for i in range(3) for ending in (".npy", ".overlay.png"))]
    )


def test_every_network_says_what_it_took_and_what_was_planned(launched):
    paths, _, _ = launched
    state = ledger_of(paths)
    best = next(t for t in state.trials.values() if 1000 in t.rungs)
    assert len(best.rungs[1000].seconds) == 10
    assert all(seconds > 0 for seconds in best.rungs[1000].seconds.values())
    report = (paths.report / "report.md").read_text()
    for kind in ("generator/level_2", "generator/level_8", "detector/level_1", "detector/level_16"):
        assert kind in state.opened.costs
        assert f"| {kind} |" in report
