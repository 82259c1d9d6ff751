"""What would break a launch's Ray is met before it starts."""

import os
from pathlib import Path

import pytest
import requests

from orchestrator.clusters import surroundings
from orchestrator.clusters.session import joined, sealed
from orchestrator.clusters.surroundings import LEAST_STORE, check_folder, check_memory, object_store, without_proxy
from tests.helpers.commands import orchestrate_apart
from workloads.errors import UserError

ROOT = Path(__file__).parents[4]
BOARD = "http://127.0.0.1:8265/api/version"


def test_a_package_of_the_users_with_a_name_of_ours_is_refused_before_ray_starts(tmp_path):
    (tmp_path / "workloads").mkdir()
    check_folder(tmp_path)  # a folder without __init__.py is no package, and Python goes past it
    (tmp_path / "workloads" / "__init__.py").write_text("raise ImportError('not ours')")
    with pytest.raises(UserError, match="would import workloads") as raised:
        check_folder(tmp_path)
    assert str(tmp_path) in raised.value.where


def test_a_job_that_joins_a_cluster_is_refused_there_as_well(tmp_path, monkeypatch):
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "__init__.py").write_text("raise ImportError('not ours')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(UserError, match="would import workloads"), joined(None, "auto", {}):
        pass


def test_the_checkout_itself_is_no_strangers_folder():
    check_folder(ROOT)


def test_the_command_line_finds_its_own_packages_beside_the_users(tmp_path):
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "__init__.py").write_text("raise ImportError('not ours')")
    done = orchestrate_apart("spaces", "ls", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert "sweep_digits" in done.stdout


@pytest.mark.parametrize(("used", "threshold", "refused"), [(97, None, True), (97, "0.99", False), (50, None, False)])
def test_memory_that_others_fill_is_named_with_what_to_do(monkeypatch, used, threshold, refused):
    monkeypatch.setattr("ray._private.utils.get_used_memory", lambda: used)
    monkeypatch.setattr("ray._common.utils.get_system_memory", lambda: 100)
    monkeypatch.delenv("RAY_memory_usage_threshold", raising=False)
    if threshold:
        monkeypatch.setenv("RAY_memory_usage_threshold", threshold)
    if not refused:
        check_memory()
        return
    with pytest.raises(UserError, match="97% of this machine's memory is taken") as raised:
        check_memory()
    assert "--executor local" in raised.value.fix


def test_a_proxy_does_not_come_between_rays_processes_on_this_machine(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "intranet.example")
    assert requests.utils.get_environ_proxies(BOARD) != {}
    with sealed():
        assert requests.utils.get_environ_proxies(BOARD) == {}
        assert requests.utils.get_environ_proxies("http://intranet.example/") == {}
        assert requests.utils.get_environ_proxies("http://elsewhere.example/") != {}
    assert os.environ["no_proxy"] == "intranet.example"
    assert "NO_PROXY" not in os.environ


def test_no_proxy_at_all_stays_so():
    assert without_proxy({"no_proxy": "*"}) == {"no_proxy": "*", "NO_PROXY": "*"}


@pytest.mark.parametrize(
    ("free", "store", "remark"),
    [
        (None, None, ""),
        (64e9, None, ""),
        (1e9, 900_000_000, "/dev/shm has 1000 MB free: Ray's object store is small"),
        (64 * 2**20, LEAST_STORE, "/dev/shm has 67 MB free: Ray's object store lies in /tmp, and is slow"),
    ],
)
def test_an_object_store_is_as_large_as_the_shared_memory_allows(monkeypatch, free, store, remark):
    monkeypatch.setattr(surroundings, "shared_memory_free", lambda: free)
    monkeypatch.setattr(surroundings, "temporary_root", lambda: "/tmp")
    monkeypatch.setattr("ray._private.utils.resolve_object_store_memory", lambda available: 7_000_000_000)
    assert object_store() == (store, remark)
