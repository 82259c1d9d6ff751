"""The files in cluster/: all good as they are, and every way of breaking one is named where it is."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from orchestrator.clusters.files.images import ray_of, tag_of
from orchestrator.clusters.files.lifecycle import run_tool
from orchestrator.clusters.files.render import FILES, USED, ClusterValues, render, values_of
from orchestrator.clusters.files.validate import check, file_problems
from tests.helpers.commands import orchestrate
from workloads.errors import Kind, UserError

ROOT = Path(__file__).parents[5]
CLUSTER = ROOT / "cluster"
RAY = re.search(r"^ARG RAY_VERSION=(.+)$", (CLUSTER / "Dockerfile").read_text(), re.M).group(1)


def broken(tmp_path, name, old, new):
    """The problems of a file of cluster/, as it is rendered, after one replacement, as text."""
    [provider] = [provider for provider, file in FILES.items() if file == name]
    text = render(values_of(provider, {}))
    assert old in text
    path = tmp_path / "broken.yaml"
    path.write_text(text.replace(old, new, 1))
    return [str(problem) for problem in file_problems(path, RAY)]


@pytest.mark.parametrize("name", FILES.values())
def test_every_file_of_cluster_is_good(name):
    assert file_problems(CLUSTER / name, RAY) == []


@pytest.mark.parametrize("provider", FILES)
def test_render_gives_the_file_of_cluster_without_its_marks(provider):
    lines = (CLUSTER / FILES[provider]).read_text().splitlines()
    plain = [line.partition("  #= ")[0] for line in lines if "`#= NAME" not in line]
    assert render(values_of(provider, {})).splitlines() == plain


@pytest.mark.parametrize("name", FILES.values())
def test_every_file_says_what_it_makes_costs_and_how_to_live_with_it(name):
    head = [line for line in (CLUSTER / name).read_text().splitlines() if line.startswith("#")]
    text = "\n".join(head[: head.index(next(line for line in head if "Tear down" in line)) + 1])
    for word in ("Cost an hour:", "Before:", "Up", "aunch:", "Watch:", "Tear down:"):
        assert word in text


BROKEN = yaml.safe_load(Path(__file__).with_name("broken_cluster_files.yaml").read_text())


@pytest.mark.parametrize("case", BROKEN, ids=[f"{case['file']}: {case['message'][:40]}" for case in BROKEN])
def test_a_broken_file_is_refused_for_the_right_reason(tmp_path, case):
    old, new, message = (case[key].replace("$RAY", RAY) for key in ("replace", "by", "message"))
    problems = broken(tmp_path, case["file"], old, new)
    assert [p for p in problems if message in p], problems
    assert len(problems) <= 6, "one mistake must not bury itself"


def test_all_errors_are_named_at_once_by_the_command(tmp_path):
    text = (CLUSTER / "aws.yaml").read_text().replace("head_node_type: head", "head_node_type: heed")
    path = tmp_path / "two.yaml"
    path.write_text(text.replace("RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled"))
    done = orchestrate("cluster", "validate", path, "--ray-version", RAY)
    assert done.returncode == 2
    assert "2 problems" in done.stderr
    assert "head_node_type" in done.stderr
    assert "docker.run_options" in done.stderr
    assert orchestrate("cluster", "validate", CLUSTER / "aws.yaml", "--ray-version", RAY).returncode == 0


def test_a_bad_file_does_not_hide_the_next(tmp_path):
    for name, old in (("aws.yaml", "head_node_type: head"), ("onprem.yaml", "head_ip: 192.168.1.10")):
        (tmp_path / name).write_text((CLUSTER / name).read_text().replace(old, ""))
    with pytest.raises(UserError, match="2 problems in 2 files") as refused:
        check([tmp_path / "aws.yaml", CLUSTER / "gcp.yaml", tmp_path / "onprem.yaml"], RAY)
    first, second = refused.value.problems
    assert "aws.yaml: head_node_type" in first.key
    assert "onprem.yaml: provider.head_ip" in second.key
    assert refused.value.kind == Kind.USAGE


def test_the_image_has_the_ray_of_the_files_and_no_other_version_than_pyprojects():
    text = (CLUSTER / "Dockerfile").read_text()
    assert ClusterValues(provider="aws").image.endswith(f":ray{RAY}-cuda")
    pins = re.findall(r"[\w\]-]+(?:==|>=|~=)[^\"\s]+", text)
    assert pins == ["tune]==${RAY_VERSION}"], "pyproject.toml alone has the other bounds"
    assert "USER 1000" in text
    assert text.index("USER 1000") < text.index("CMD")


def test_a_login_shell_of_the_image_finds_what_the_image_installs():
    text = (CLUSTER / "Dockerfile").read_text()
    venv = re.search(r"VIRTUAL_ENV=(\S+)", text).group(1)
    line = re.search(r"echo '([^']+)' > /etc/profile\.d/\S+\.sh$", text, re.M).group(1)
    debian = "PATH=/usr/local/bin:/usr/bin:/bin; export PATH"  # what /etc/profile has done when it reads profile.d
    done = subprocess.run(["sh", "-c", f'{debian}; {line}; echo "$PATH"'], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{venv}/bin:/usr/local/bin:/usr/bin:/bin\n"


@pytest.mark.parametrize(
    ("provider", "values", "message"),
    [
        ("aws", {"gpu": "H10"}, "gpu: no such GPU 'H10'; did you mean"),
        ("gcp", {"gpu": "A10G"}, "gpu: gcp has no A10G"),
        ("aws", {"min_workers": 9}, "min_workers: 9 is above max_workers, 8"),
        ("aws", {"image": "me/mine:latest"}, "image: its tag must name its Ray"),
        ("aws", {"storage": "s3://b/x\nrun: evil"}, "storage: string should match pattern"),
        ("aws", {"name": "a; rm -rf /"}, "name: string should match pattern"),
        ("gcp", {"name": "a" * 24}, "name: " + "a" * 24 + "-worker has 31 characters"),
        ("onprem", {"gpu": "H100"}, "gpu: onprem does not use it; it takes head_ip, image"),
        ("onprem", {"max_workers": 16}, "max_workers: onprem does not use it"),
        ("mlflow", {"storage": "/mnt/runs"}, "storage: mlflow does not use it"),
        ("azure", {}, "provider: found 'azure', expected"),
    ],
)
def test_values_that_cannot_be_rendered_are_named(provider, values, message):
    with pytest.raises(UserError) as refused:
        values_of(provider, values)
    assert message in str(refused.value)


OTHER = {
    "name": "mine", "gpu": "H100", "min_workers": 2, "max_workers": 64, "storage": "/data/runs",
    "image": f"example.org/mine:ray{RAY}-cpu", "tracking_uri": "http://tracking.example.org",
    "artifacts": "s3://other/mlflow", "project": "mine-1", "region": "eu-north1", "zone": "eu-north1-a",
    "head_ip": "10.0.0.1", "worker_ips": ("10.0.0.2",), "ssh_user": "me", "space": "sweep_digits",
}  # fmt: skip


@pytest.mark.parametrize("provider", FILES)
def test_a_file_has_a_place_for_every_value_that_it_takes_and_takes_no_other(provider):
    assert USED[provider] <= {"provider", *OTHER}
    default = render(values_of(provider, {}))
    for name, value in OTHER.items():
        if name in USED[provider]:
            assert render(values_of(provider, {name: value})) != default
        else:
            with pytest.raises(UserError, match=f"{name}: {provider} does not use it"):
                values_of(provider, {name: value})


@pytest.mark.parametrize("gpu", ["L4", "A100", "H100", "H200"])
@pytest.mark.parametrize("provider", FILES)
def test_what_is_rendered_from_other_values_is_good_too(tmp_path, provider, gpu):
    storage = {"aws": "s3://other/x", "gcp": "gs://other/x"}.get(provider, "/data/runs")
    values = {name: value for name, value in OTHER.items() if name in USED[provider]}
    values |= {name: value for name, value in {"gpu": gpu, "storage": storage}.items() if name in USED[provider]}
    path = tmp_path / "own.yaml"
    path.write_text(render(values_of(provider, values)))
    assert file_problems(path, RAY) == []


@pytest.mark.parametrize("storage", ["/data/runs", "s3://bucket/runs"])
@pytest.mark.parametrize("provider", ["kuberay-raycluster", "kuberay-rayjob"])
def test_pods_mount_a_path_and_read_their_data_below_it_wherever_the_runs_go(tmp_path, provider, storage):
    path = tmp_path / "own.yaml"
    path.write_text(render(values_of(provider, {"storage": storage})))
    assert file_problems(path, RAY) == []
    document = next(yaml.safe_load_all(path.read_text()))
    cluster = document["spec"].get("rayClusterSpec", document["spec"])
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    mounts = {m["mountPath"] for g in groups for m in g["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert len(mounts) == 1, "one place, the same in all pods"
    [mount] = mounts
    data = re.search(r"--data-dir (\S+)", path.read_text()).group(1)
    assert f"{data}/".startswith(f"{mount}/")
    assert f"--storage {storage} " in path.read_text()
    assert (mount == storage) == storage.startswith("/")


def test_own_machines_mount_a_path_when_the_runs_go_elsewhere():
    text = render(values_of("onprem", {"storage": "s3://bucket/runs"}))
    assert "--volume /mnt/anomaly/data:/mnt/anomaly/data " in text
    assert "--data-dir /mnt/anomaly/data " in text


@pytest.mark.parametrize(
    ("provider", "host", "login"),
    [
        (
            "aws",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "aws ecr get-login-password --region eu-west-1 | docker",
        ),
        ("gcp", "europe-docker.pkg.dev", "gcloud auth configure-docker europe-docker.pkg.dev"),
        ("gcp", "eu.gcr.io", "gcloud auth configure-docker eu.gcr.io"),
    ],
)
def test_nodes_log_in_to_their_clouds_own_registry(tmp_path, provider, host, login):
    path = tmp_path / "own.yaml"
    path.write_text(render(values_of(provider, {"image": f"{host}/mine/a:ray{RAY}-cuda"})))
    [command] = yaml.safe_load(path.read_text())["initialization_commands"]
    assert command.startswith(login)
    assert file_problems(path, RAY) == []


def test_the_autoscaler_has_an_identity_of_its_own_and_workers_run_without_it():
    aws, gcp = (
        yaml.safe_load((CLUSTER / name).read_text())["available_node_types"] for name in ("aws.yaml", "gcp.yaml")
    )
    profiles = {name: node["node_config"]["IamInstanceProfile"]["Name"] for name, node in aws.items()}
    accounts = {name: node["node_config"]["serviceAccounts"][0]["email"] for name, node in gcp.items()}
    for identities in (profiles, accounts):
        head = identities.pop("head")
        assert head not in identities.values()
        assert len(set(identities.values())) == 1


def test_a_crd_folder_is_checked_by_and_keys_it_does_not_know_are_errors(tmp_path):
    spec = {"type": "object", "properties": {"rayVersion": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}, "spec": spec},
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {"names": {"kind": "RayCluster"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]},
    }
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "ray.yaml").write_text(yaml.safe_dump(crd))
    actual = [str(p) for p in file_problems(CLUSTER / "kuberay/raycluster.yaml", RAY, tmp_path / "crds")]
    assert any("spec.headGroupSpec: no such key in the CRD" in p for p in actual)
    assert not any("spec.rayVersion" in p.partition("; ")[0] for p in actual)


@pytest.mark.parametrize(
    ("image", "tag", "ray"),
    [
        ("localhost:5000/mine", None, None),
        ("localhost:5000/mine:ray2.60.0-cuda", "ray2.60.0-cuda", "2.60.0"),
        ("rayproject/ray:2.60.0-py311-gpu", "2.60.0-py311-gpu", "2.60.0"),
        ("mine@sha256:0123", None, None),
        ("mine:ray2.6", "ray2.6", None),
        ("mine:nightly-2.60.0", "nightly-2.60.0", None),
    ],
)
def test_what_an_image_name_says(image, tag, ray):
    assert (tag_of(image), ray_of(image)) == (tag, ray)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["launch", "aws.yaml", "--ray-version", RAY], "ray up -y"),
        (["stop", "aws.yaml"], "ray down -y"),
        (["launch", "kuberay/rayjob.yaml", "--ray-version", RAY], "kubectl apply -f"),
        (["stop", "mlflow.yaml"], "kubectl delete -f"),
        (["status", "kuberay/raycluster.yaml"], "kubectl get -f"),
        (["status", "local.yaml"], f"ray exec {CLUSTER / 'local.yaml'} 'RAY_AUTH_MODE=token ray status'"),
    ],
)
def test_a_file_goes_up_and_down_with_the_tool_it_is_for(words, message):
    verb, name, *more = words
    done = orchestrate("cluster", verb, CLUSTER / name, *more, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(message)


def test_a_broken_file_is_not_brought_up_and_a_missing_tool_is_named(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text((CLUSTER / "mlflow.yaml").read_text().replace("replicas: 1", "replicas: one", 1))
    with pytest.raises(UserError) as refused:
        check([path], RAY)
    assert refused.value.kind == Kind.USAGE
    with pytest.raises(UserError, match="no-such-tool is not installed"):
        run_tool(["no-such-tool", "up"])
