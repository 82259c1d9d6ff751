"""Groups scored on a flow's latents, one flow for all trials, rows of groups, their AUROC everywhere."""

import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from orchestrator.record.ledger import Ledger
from orchestrator.record.paths import RunPaths
from tests.helpers.launches import request_for, run


@pytest.fixture(scope="module")
def launched(storage):
    code, text = run(request_for(storage, "klods_digits", "groups", executor="local", search="random", points=2))
    return RunPaths(str(storage), "groups"), code, text


def test_trials_share_flows_and_their_numbers_are_of_groups(launched):
    paths, code, text = launched
    assert code == 0, text
    assert "derivation" in text
    state = Ledger(paths).state
    assert sorted(event.unit for event in state.stages.values()) == ["flow/3/flow", "flow/8/flow"]
    assert len(state.trials) == 2
    for trial in state.trials.values():
        metrics, score = trial.rungs[1000].numbers, trial.point["group_score"]
        table = pq.read_table(str(paths.trial(trial.id).scores(1000))).to_pandas()
        for target in ("3", "8"):
            own = table.query("target == @target and split == 'test'")
            whole, part = (own[own.part == name].set_index("image_id") for name in ("all", f"{score}/5"))
            assert whole.index.str.startswith("group-5/").all()
            assert whole.index.is_unique
            assert whole.score.equals(part.score)
            expected = roc_auc_score(whole.anomalous, whole.score)
            assert metrics[f"auroc/{target}"] == pytest.approx(expected, abs=1e-12)
            assert len(own[own.part == f"{score}/1"]) == 896
        shown = {"auroc_level/god_1ks/5", "auroc_level/complexity/5", "auroc_out/noise/mean", "contrastive"}
        assert shown <= set(metrics)
