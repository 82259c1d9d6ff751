"""Plans, identities and provenance: what is promised before anything runs."""

from collections import defaultdict
from dataclasses import replace

import pytest
from upath import UPath

from orchestrator.execution.work.worker import balance
from orchestrator.planning.code_digest import Code, content_hash
from orchestrator.planning.identity import identify, safe_name
from orchestrator.planning.options import Options, load_space
from orchestrator.planning.plan import speeds_of
from orchestrator.record.paths import RunPaths
from orchestrator.record.provenance import without_secrets
from orchestrator.record.rates import FILE, rates_key, read_rates, write_rates
from tests.helpers.files import flip
from tests.helpers.plans import planned
from tune_spaces.schema import Resources
from workloads.data.catalogue import CATALOGUE
from workloads.errors import Kind, UserError
from workloads.units import Unit

DIGESTS = dict.fromkeys((*"0123456789", *CATALOGUE["cifar10"].classes), "data")


def plan_for(tmp_path, space="sweep_digits", cpus=2, **options):
    plan = planned(space, cpus, **options)
    return replace(plan, rates=read_rates(str(tmp_path), plan.name, plan.preset, plan.space.resources))


def test_what_runs_in_this_process_waits_for_nothing_to_start(tmp_path):
    plan = plan_for(tmp_path)
    here = replace(plan, in_process=True)
    assert plan.estimate.overhead > 0
    assert here.estimate.overhead == 0
    assert here.estimate.longest == pytest.approx(plan.estimate.longest - plan.estimate.overhead)


def identified(plan, data="data", digests=DIGESTS, code="code"):
    """(stages, trials) of a plan, whose code is as good as any."""
    _, trials, stages, _ = identify(plan, data, digests, defaultdict(lambda: Code({"module": code}, {})))
    return stages, trials


def keys(stages):
    return {str(stage.unit): stage.key for stage in stages}


def test_the_full_grid_has_864_trials_that_share_30_generators(tmp_path):
    plan = plan_for(tmp_path, "sweep_cifar10", search="grid")
    stages, trials = identified(plan)
    assert len({t.id for t in trials}) == 864
    assert len({stage.key for stage in stages}) == len(stages) == plan.stages == 30
    assert len(plan.units) == 50


def test_a_searched_key_changes_trials_but_no_generator(tmp_path):
    before = identified(plan_for(tmp_path))
    after = identified(plan_for(tmp_path, set=["noise=0.1"]))
    assert keys(before[0]) == keys(after[0])
    assert not {t.id for t in before[1]} & {t.id for t in after[1]}


def test_points_that_agree_on_a_stage_share_it_and_others_get_their_own(tmp_path):
    (tmp_path / "own.py").write_text(
        "from tune_spaces.schema import *\n"
        "axes = {'lambda_entropy': (0.0, 1.0), 'noise': (0.0, 0.1)}\n"
        "SPACE = Space(data=Data(name='digits', side=16, classes=('3',)), axes=axes, search=Search(kind='grid'))\n"
    )
    plan = plan_for(tmp_path, str(tmp_path / "own.py"))
    stages, trials = identified(plan)
    assert len(stages) == plan.stages == 2 * 3
    by_point = {tuple(t.point.values()): t.stages for t in trials}
    assert by_point[0.0, 0.0] == by_point[0.0, 0.1]
    assert not set(by_point[0.0, 0.0].values()) & set(by_point[1.0, 0.0].values())


@pytest.mark.parametrize(
    ("data", "code", "options"), [("other", "code", {}), ("data", "other", {}), ("data", "code", {"seed": 1})]
)
def test_other_data_code_or_seed_is_another_generator_and_trial(tmp_path, data, code, options):
    stages, trials = identified(plan_for(tmp_path))
    others, other_trials = identified(plan_for(tmp_path, **options), data, dict.fromkeys(DIGESTS, data), code)
    assert not set(keys(stages).values()) & set(keys(others).values())
    assert not {t.id for t in trials} & {t.id for t in other_trials}


def test_rates_that_a_run_has_measured_replace_the_default(tmp_path):
    default = plan_for(tmp_path).estimate
    write_rates(UPath(tmp_path), rates_key("sweep_digits", "reduced", Resources()), {"rate": 1e15})
    measured = plan_for(tmp_path).estimate
    assert "default" in default.source
    assert "measured by an earlier run" in measured.source
    assert measured.trials < default.trials
    flip(tmp_path / FILE)
    assert plan_for(tmp_path).estimate == default, "a damaged speed is not believed"
    write_rates(UPath(tmp_path), rates_key("sweep_digits", "reduced", Resources()), {"rate": 1e15})
    assert plan_for(tmp_path).estimate == measured


def test_workers_that_share_a_gpu_share_its_speed_and_each_share_has_a_measured_one_of_its_own(tmp_path):
    whole, quarter, two_fit = (Resources(gpus_per_worker=share) for share in (1, 0.25, 0.4))
    assert speeds_of(quarter, None)[0]["rate"] == speeds_of(whole, None)[0]["rate"] / 4
    assert speeds_of(two_fit, None)[0]["rate"] == speeds_of(whole, None)[0]["rate"] / 2
    write_rates(UPath(tmp_path), rates_key("sweep_digits", "reduced", quarter), {"rate": 3e12})
    for resources, found in ((quarter, {"rate": 3e12}), (whole, None), (two_fit, None)):
        assert read_rates(str(tmp_path), "sweep_digits", "reduced", resources) == found
    assert speeds_of(quarter, {"rate": 3e12})[0]["rate"] == 3e12


def test_units_go_longest_first_to_the_least_loaded_worker():
    costs = {Unit("d", "x", str(i)): c for i, c in enumerate([8.0, 7.0, 6.0, 5.0, 4.0])}
    shares = balance(list(costs), costs.__getitem__, str, 2)
    assert sorted(u for s in shares for u in s) == sorted(costs)
    # longest first leaves at most the optimum (15) plus a third
    assert max(sum(costs[u] for u in s) for s in shares) <= 17


def test_content_hashes_ignore_order_and_refuse_objects():
    assert content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
    with pytest.raises(TypeError):
        content_hash({"a": object()})
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_hash(float("nan"))


@pytest.mark.parametrize("text", ["../../etc", "My Space!", "..", "", "x" * 500])
def test_safe_names_are_single_path_pieces(text):
    name = safe_name(text)
    assert name
    assert "/" not in name
    assert name not in (".", "..")
    assert len(name) <= 64


def test_secrets_do_not_reach_provenance():
    text = without_secrets(
        "launch x --tracking-uri postgresql://me:hunter2@db/mlflow --token abc MLFLOW_PASSWORD=hunter3"
    )
    assert "hunter" not in text
    assert "abc" not in text
    assert "db/mlflow" in text


@pytest.mark.parametrize(
    "text",
    [
        "https://b.s3.amazonaws.com/k?X-Amz-Credential=hunter2%2F&X-Amz-Signature=hunter2",
        "https://a.blob.core.windows.net/c?sv=2022&sig=hunter2%3D",
        "Authorization: Bearer hunter2.x",
        "{'Authorization': 'Basic hunter2'}",
        "curl -H 'bearer hunter2'",
        '{"password": "hunter2 and more hunter2", "user": "me"}',
        "{'api_key': 'it\\'s hunter2'}",
        "aws_access_key_id=hunter2 aws_secret_access_key = hunter2",
        "Server=db;Pwd=hunter2;",
        "private_key=hunter2 credentials='hunter2 hunter2'",
        "DefaultEndpointsProtocol=https;AccountKey=hunter2==",
        "MLFLOW_TRACKING_TOKEN=hunter2",
        "launch --db-password 'hunter2 hunter2'",
        "launch '--set=token=hunter2'",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\nhunter2\n-----END RSA PRIVATE KEY-----",
        "AKIAHUNTER2HUNTER22X ghp_hunter2hunter2 hf_hunter2hunter2",
    ],
)
def test_what_looks_like_a_secret_is_masked_in_every_form(text):
    masked = without_secrets(text)
    assert "hunter2" not in masked.lower()
    assert "***" in masked


@pytest.mark.parametrize(
    "text",
    [
        "the two files that token and passwords hold",
        "give --tracking-uri again: its password is not kept",
        "password required",
        "a bearer of scores, and Basic authentication",
        "the signature of the function differs",
        "export --to onnx model --register monkey --trust-code",
        "/data/secrets/photos and tokens.csv",
    ],
)
def test_words_of_messages_are_no_secrets(text):
    assert without_secrets(text) == text


def test_asking_for_other_classes_too_finds_a_classs_generators_again(tmp_path):
    one = identified(plan_for(tmp_path, classes=["3"]), "data of one")
    both = identified(plan_for(tmp_path, classes=["3", "8"]), "data of both")
    assert keys(one[0]).items() <= keys(both[0]).items()
    assert not {t.id for t in one[1]} & {t.id for t in both[1]}


@pytest.mark.parametrize("uri", ["postgresql://me:p@ss/word@db/mlflow", "https://user:tok@host:5000/x"])
def test_a_password_with_any_character_is_masked(uri):
    masked = without_secrets(f"failed to reach {uri} today")
    assert "me:" not in masked
    assert "word@" not in masked
    assert "tok" not in masked
    assert without_secrets("scored /data/monkey photos") == "scored /data/monkey photos"


@pytest.mark.parametrize("name", ["data", "stages", "baselines", "mlartifacts", "mlflow.db", "rates.json"])
def test_a_run_cannot_take_the_name_of_what_the_storage_holds(tmp_path, name):
    with pytest.raises(UserError, match="cannot name a run") as refused:
        RunPaths(str(tmp_path), name)
    assert refused.value.kind == Kind.USAGE


@pytest.mark.parametrize("uri", ["sqlite:////home/a@b/mlflow.db", "file:///home/a@b/runs"])
def test_a_files_path_has_no_secret(uri):
    assert without_secrets(f"ui --backend-store-uri {uri}") == f"ui --backend-store-uri {uri}"


def test_a_space_without_presets_takes_no_other_name_for_its_one_schedule(tmp_path):
    (tmp_path / "own.py").write_text(
        'from tune_spaces.schema import Data, Space\nSPACE = Space(data=Data(name="digits"))\n'
    )
    with pytest.raises(UserError) as refused:
        load_space(str(tmp_path / "own.py"), Options(preset="smoke"))
    assert "no preset 'smoke'" in str(refused.value)
