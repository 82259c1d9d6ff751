"""A run goes on with the ids of its ledger; other code is refused by name, or accepted and noted."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.trial import TrialWork
from orchestrator.planning import code_digest
from orchestrator.record.events import CodeAccepted, Opened, StageEnded
from orchestrator.record.ledger import Ledger, encode
from orchestrator.record.paths import RunPaths
from orchestrator.record.runs import open_run
from orchestrator.record.state import State
from orchestrator.results.run import conclude
from tests.helpers import edits
from tests.helpers.commands import orchestrate
from tests.helpers.launches import request_for, run
from tests.unit.orchestrator.execution.test_launch import SPACE
from workloads.errors import Kind, UserError
from workloads.training.checkpoint import is_complete

pytestmark = pytest.mark.usefixtures("unmirrored")


class Dying(LocalExecutor):
    """Is interrupted where `when` says so of a task."""

    def __init__(self, when):
        super().__init__()
        self.when, self.works = when, []

    def attempt(self, task):
        if self.when(task):
            raise KeyboardInterrupt
        self.works.append(task.work)
        return (yield from super().attempt(task))


@pytest.fixture
def space(tmp_path):
    (tmp_path / "small.py").write_text(SPACE)
    return tmp_path / "small.py"


@pytest.fixture
def edit(monkeypatch):
    """Makes modules whose names begin so read as if a line were added."""

    def apply(*modules):
        source_of = code_digest.source_of

        def text(spec):
            return edits.line(source_of(spec)) if spec.name.startswith(modules) else source_of(spec)

        monkeypatch.setattr(code_digest, "source_of", text)

    return apply


def go_on(space, storage, executor=None, accept_code=False, **options):
    """(exit code, what was printed, the ledger)."""
    request = request_for(storage, space, "run", executor="local", preset=None, **options)
    code, text = run(replace(request, accept_code=accept_code), executor)
    return code, text, Ledger(RunPaths(str(storage), "run"))


def accepted(ledger):
    return [event for event in ledger.events if isinstance(event, CodeAccepted)]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The storage of a run that was interrupted in its second stage; made once, to be copied."""
    storage, stages = tmp_path_factory.mktemp("begun"), []
    (storage / "small.py").write_text(SPACE)
    executor = Dying(lambda task: task.kind == "stage" and (stages.append(task) or len(stages) > 1))
    code, _, _ = go_on(storage / "small.py", storage, executor)
    assert code == 130
    return storage


@pytest.fixture
def interrupted(begun, tmp_path):
    """(the ledger, the key of the only stage that is there), the run in a storage of its own."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    ledger = Ledger(RunPaths(str(tmp_path), "run"))
    (stage,) = ledger.state.stages
    return ledger, stage


def test_an_edit_is_refused_by_module_and_then_accepted_under_new_keys_for_stages_that_are_not_there(
    interrupted, space, tmp_path, edit
):
    before, there = interrupted
    trials = before.state.trials
    missing = {key for trial in trials.values() for key in trial.stages.values()} - {there}
    assert len(missing) == 1
    edit("workloads.mlsad.gan", "workloads.mlsad.pooling")
    with pytest.raises(UserError) as refused:
        go_on(space, tmp_path)
    assert refused.value.kind == Kind.REFUSED
    assert refused.value.details == "what differs: workloads.mlsad.gan, workloads.mlsad.pooling"
    assert "resume run --accept-code" in refused.value.fix
    assert Ledger(RunPaths(str(tmp_path), "run")).events == before.events

    code, text, ledger = go_on(space, tmp_path, accept_code=True)
    assert code == 0, text
    (event,) = accepted(ledger)
    assert event.modules == ("workloads.mlsad.gan", "workloads.mlsad.pooling")
    assert event.before == before.state.identity != event.after == ledger.state.identity
    assert event.stage_keys.keys() == missing
    assert ledger.state.trials.keys() == trials.keys()
    assert not missing & set(event.stage_keys.values())
    paths = RunPaths(str(tmp_path), "run")
    assert not any(is_complete(paths.stage(key)) for key in missing)  # no old key holds what new code has made
    made = {key for trial in ledger.state.trials.values() for key in trial.stages.values()}
    assert made == {there, *event.stage_keys.values()}
    assert all(is_complete(paths.stage(key)) for key in made)
    report = (tmp_path / "run" / "report" / "report.md").read_text()
    assert "the run went on with other code on" in report
    assert "workloads.mlsad.gan, workloads.mlsad.pooling" in report

    code, text, again = go_on(space, tmp_path)  # accepted once for all
    assert code == 0, text
    assert accepted(again) == [event]


def test_the_edit_of_another_method_or_of_an_analysis_is_none(interrupted, space, tmp_path, edit):
    ledger, _ = interrupted
    edit("workloads.flows", "workloads.klods", "workloads.mlsad.analyses", "workloads.data.loaders")
    code, text, after = go_on(space, tmp_path)
    assert code == 0, text
    assert after.state.trials.keys() == ledger.state.trials.keys()
    assert not accepted(after)


def test_an_edit_of_the_metrics_trains_nothing_again_and_is_not_mixed_in_unsaid(interrupted, space, tmp_path, edit):
    edit("workloads.scoring.metrics")
    with pytest.raises(UserError, match=r"workloads\.scoring\.metrics"):
        go_on(space, tmp_path)
    code, text, ledger = go_on(space, tmp_path, accept_code=True)
    assert code == 0, text
    assert accepted(ledger)[0].stage_keys == {}


def test_other_versions_of_packages_are_refused_by_their_names_and_may_be_accepted(
    interrupted, space, tmp_path, monkeypatch
):
    before, _ = interrupted
    version = code_digest.version
    monkeypatch.setattr(code_digest, "version", lambda name: "99.1.2" if name == "torch" else version(name))
    with pytest.raises(UserError) as refused:
        go_on(space, tmp_path)
    was = before.state.identity.packages["torch"]
    assert f"torch {was} -> 99.1" in refused.value.details
    code, text, ledger = go_on(space, tmp_path, accept_code=True)
    assert code == 0, text
    assert accepted(ledger)[0].packages == (f"torch {was} -> 99.1",)


def test_a_stage_that_was_lost_after_new_code_was_accepted_is_made_under_a_new_key_as_well(
    interrupted, space, tmp_path, edit
):
    before, there = interrupted
    edit("workloads.mlsad.gan")
    first_trial = next(iter(before.state.trials))
    go_on(space, tmp_path, Dying(lambda task: task.kind == "trial"), accept_code=True)
    paths = RunPaths(str(tmp_path), "run")
    for file in paths.stage(there).iterdir():
        file.unlink()
    code, text, ledger = go_on(space, tmp_path)
    assert code == 0, text
    _, lost = accepted(ledger)
    assert list(lost.stage_keys) == [there]
    assert (lost.modules, lost.packages) == ((), ())
    assert not is_complete(paths.stage(there))
    assert lost.stage_keys[there] in ledger.state.trials[first_trial].stages.values()


def test_a_trial_that_has_ended_keeps_the_stages_that_it_was_trained_on(space, tmp_path, edit):
    done = []
    executor = Dying(lambda task: task.kind == "trial" and (done.append(task) or len(done) > 1))
    _, _, before = go_on(space, tmp_path, executor)
    ended = [trial.id for trial in before.state.trials.values() if trial.state == State.FINISHED]
    assert len(ended) == 1
    paths = RunPaths(str(tmp_path), "run")
    for key in before.state.trials[ended[0]].stages.values():
        for file in paths.stage(key).iterdir():
            file.unlink()
    edit("workloads.mlsad.gan")
    code, text, ledger = go_on(space, tmp_path, accept_code=True)
    assert code == 0, text
    assert ledger.state.trials[ended[0]].stages == before.state.trials[ended[0]].stages


def test_an_edit_of_the_baselines_is_named_and_scores_them_again_under_another_key(space, tmp_path, edit):
    code, text, _ = go_on(space, tmp_path)
    assert code == 0, text
    scored = set((tmp_path / "baselines").iterdir())
    edit("workloads.scoring.baselines")
    with pytest.raises(UserError, match="the baselines' code"):
        go_on(space, tmp_path)
    code, text, ledger = go_on(space, tmp_path, accept_code=True)
    assert code == 0, text
    assert accepted(ledger)[0].modules == ("the baselines' code",)
    assert set((tmp_path / "baselines").iterdir()) > scored


def test_another_space_or_other_images_are_refused_whatever_is_accepted(interrupted, space, tmp_path):
    with pytest.raises(UserError, match="another space"):
        go_on(space, tmp_path, accept_code=True, set=["dropout=0.2"])
    with pytest.raises(UserError, match="another space and another data"):
        go_on(space, tmp_path, accept_code=True, classes=["8"])


def test_other_keys_of_analyses_go_on_with_the_same_trials_and_look_again(space, tmp_path):
    text = SPACE.replace("scheduler=", 'analyses=("fooling",),\n    scheduler=').replace(
        '"quality_steps": 1', '"quality_steps": 1, "fooling_steps": 2'
    )
    space.write_text(text)
    code, printed, before = go_on(space, tmp_path)
    assert code == 0, printed
    space.write_text(text.replace('"fooling_steps": 2', '"fooling_steps": 3'))
    executor = Dying(lambda task: isinstance(task.work, TrialWork))
    code, printed, after = go_on(space, tmp_path, executor)
    assert code == 0, printed
    (work,) = executor.works
    assert isinstance(work, AnalysisWork)
    assert work.config["fooling_steps"] == 3
    assert after.state.trials.keys() == before.state.trials.keys()
    executor = Dying(lambda task: True)
    assert go_on(space, tmp_path, executor)[0] == 0  # nothing is left to look at


def test_a_run_that_kept_one_digest_of_its_code_is_read_and_asks_for_acceptance(space, tmp_path):
    """As format 2 had it before modules were kept."""
    code, text, ledger = go_on(space, tmp_path, Dying(lambda task: task.kind == "trial"))
    paths = RunPaths(str(tmp_path), "run")
    opened, *rest = ledger.events
    assert isinstance(opened, Opened)
    old = replace(opened, identity=identity_of(opened, code="0123456789ab"))
    lines = encode(old), *map(encode, rest)
    (paths.ledger / "000001.jsonl").write_text("".join(lines))
    with pytest.raises(UserError, match="all modules: an earlier version kept one digest of them"):
        go_on(space, tmp_path)
    code, text, ledger = go_on(space, tmp_path, accept_code=True)
    assert code == 0, text
    assert accepted(ledger)[0].modules[0].startswith("all modules")
    assert not [event for event in ledger.events if isinstance(event, StageEnded) and event.reused]
    assert "went on with other code" in "".join(conclude(paths, ledger.state).warnings)


STORED = Path(__file__).parents[3] / "data" / "format_1_run"


def begun_by_format_1(storage):
    """A copy of the stored run, killed before its last trial had reached the end: (its folder, that trial)."""
    folder = shutil.copytree(STORED, storage / "runs") / "digits"
    last = "361fb5300d2b"
    lines = (folder / "ledger.jsonl").read_text().splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if f'"trial": "{last}", "budget": 1000' in line)
    (folder / "ledger.jsonl").write_text("".join(lines[:end]))
    for file in (folder / "trials" / last).rglob("rung-1000*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    return folder, last


def resume(storage, *words):
    return orchestrate("resume", "digits", "--storage", storage, "--executor", "local", *words, COLUMNS="200")


def test_a_run_of_format_1_is_resumed_once_its_code_is_accepted(tmp_path):
    folder, last = begun_by_format_1(tmp_path)
    old = (folder / "ledger.jsonl").read_bytes()
    refused = resume(tmp_path / "runs")
    assert refused.returncode == 4
    assert "was made with other code" in refused.stderr
    assert "--accept-code" in refused.stderr
    done = resume(tmp_path / "runs", "--accept-code")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "ledger.jsonl").read_bytes() == old
    paths, state = open_run(str(tmp_path / "runs"), "digits")
    (event,) = state.accepted
    assert event.modules == ("all modules: an earlier version kept one digest of them",)
    assert state.trials[last].state == State.FINISHED
    assert set(state.trials[last].stages.values()) == set(event.stage_keys.values())
    assert all(is_complete(paths.stage(key)) for key in event.stage_keys.values())
    report = (folder / "report" / "report.md").read_text()
    assert "the run went on with other code on" in report
    assert "OC-SVM" in report


def identity_of(opened, code):
    return replace(opened.identity, code=code, modules={}, packages={}, baselines="")
