"""A file is there whole or not at all, and bytes that were not written are never read."""

import json
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from upath import UPath

from orchestrator.results.evaluation import read_table, write_table
from workloads import files
from workloads.errors import Kind, UserError
from workloads.files import (
    alone,
    damaged_file,
    is_whole,
    leased,
    other_writers,
    read_checked,
    remove_checked,
    remove_partials,
    write_atomically,
    write_checked,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: Any) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def fails(descriptor: int) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="full"):
            write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"], "nothing half-written is left"


def test_threads_that_write_one_file_at_once_leave_one_of_their_contents(tmp_path: Path, monkeypatch: Any) -> None:
    both_write, real = threading.Barrier(2, timeout=10), os.fsync

    def meets(descriptor: int) -> None:
        real(descriptor)
        both_write.wait()

    monkeypatch.setattr(os, "fsync", meets)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda data: write_atomically(tmp_path / "file", data), (b"a" * 9, b"b" * 5)))
    assert (tmp_path / "file").read_bytes() in (b"a" * 9, b"b" * 5)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_writer_left_is_removed_by_who_has_the_folder_to_itself(tmp_path: Path) -> None:
    (tmp_path / ".file.12-abc.partial").write_bytes(b"half")
    write_atomically(tmp_path / "file", b"whole")
    remove_partials(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    name = f".file.{process.pid}-0123abcd.partial"
    (tmp_path / name).write_bytes(b"half")
    try:
        remove_partials(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == [name]
    finally:
        process.kill()
        process.wait()
    remove_partials(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("root", ["local", "memory://checked"])
def test_what_differs_from_its_checksum_is_refused_by_name(tmp_path: Path, root: str) -> None:
    file = UPath(tmp_path / root if root == "local" else root) / "deep" / "rung-1000.json"
    write_checked(file, b"first")
    write_checked(file, b"second")
    assert read_checked(file) == b"second"
    file.write_bytes(b"secont")
    with pytest.raises(UserError, match="differs from its checksum") as refused:
        read_checked(file)
    assert refused.value.where == str(file)
    assert refused.value.kind == Kind.ENVIRONMENT
    assert not is_whole(file)
    write_checked(file, b"third")
    assert read_checked(file) == b"third"
    damaged = damaged_file(file)
    assert damaged.read_bytes() == b"secont", "what was damaged is set aside"
    damaged.unlink()
    remove_checked(file)
    assert not is_whole(file)
    assert not list(file.parent.iterdir())


def test_a_file_of_an_earlier_version_has_no_checksum_and_is_read(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_bytes(b"{}")
    assert read_checked(tmp_path / "old.json") == b"{}"


@pytest.mark.parametrize("survives", [0, 1, 2])
def test_a_writer_killed_anywhere_leaves_nothing_that_looks_damaged(
    tmp_path: Path, monkeypatch: Any, survives: int
) -> None:
    file, real, moved = tmp_path / "file", Path.replace, []
    write_checked(file, b"old")

    def dying(self: Path, target: Path) -> Path:
        if len(moved) == survives:
            raise KeyboardInterrupt
        moved.append(target)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", dying)
    if survives < 2:
        with pytest.raises(KeyboardInterrupt):
            write_checked(file, b"new")
    else:
        write_checked(file, b"new")
    assert read_checked(file) == (b"new" if survives else b"old")


def test_a_score_table_with_one_changed_byte_is_refused(tmp_path: Path) -> None:
    file = UPath(tmp_path) / "scores.parquet"
    table = pa.table({"score": [0.25, 0.5]})
    write_table(file, table)
    assert read_table(file).equals(table)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(UserError, match="checksum"):
        read_table(file)


@pytest.fixture
def quick_leases(monkeypatch: Any) -> None:
    monkeypatch.setattr(files, "PERIOD_S", 0.1)


def test_where_there_are_no_locks_one_at_a_time_makes_what_several_share(quick_leases: None) -> None:
    inside, most = [0], [0]

    def make(number: int) -> None:
        with alone(UPath("memory://shared/stages/key")):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make, range(12)))
    assert most == [1]
    assert not UPath("memory://shared/stages/key.lease").exists()


@pytest.mark.parametrize("waits", [True, False])
def test_a_dead_ones_lease_is_taken_over(quick_leases: None, waits: bool) -> None:
    file = UPath(f"memory://dead/{waits}.lease")
    file.write_bytes(b'{"id": "of another machine", "pid": 1, "host": "elsewhere", "signs": 7}')
    begun = time.monotonic()
    with leased(file, waits=waits):
        assert time.monotonic() - begun > files.MISSED * files.PERIOD_S
        assert b"elsewhere" not in file.read_bytes()
    assert not file.exists()


def test_a_lease_of_a_process_that_is_gone_from_here_is_taken_over_at_once() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    file = UPath("memory://gone/run.lease")
    file.write_bytes(json.dumps(files.this_process() | {"id": "gone", "pid": process.pid}).encode())
    begun = time.monotonic()
    with leased(file, waits=False):
        assert time.monotonic() - begun < files.PERIOD_S


def test_a_lease_whose_holder_shows_a_sign_of_life_is_refused(quick_leases: None) -> None:
    file = UPath("memory://held/run.lease")
    with leased(file):
        with pytest.raises(BlockingIOError), leased(file, waits=False):
            raise AssertionError("two hold it")
        assert file.exists()


def test_who_has_lost_a_lease_leaves_the_others_alone(quick_leases: None) -> None:
    file = UPath("memory://lost/run.lease")
    with leased(file):
        file.write_bytes(b'{"id": "another"}')
        time.sleep(3 * files.PERIOD_S)
        assert file.read_bytes() == b'{"id": "another"}'
    assert file.exists()


@pytest.mark.parametrize(
    ("mode", "owner", "group", "writers"),
    [
        (0o100644, 0, 0, ""),
        (0o100664, 1000, 1000, "its owner, user 1000,"),
        (0o100666, 0, 0, "every user"),
        (0o100664, 0, 0, ""),
        (0o100664, 0, 50, "the group 50"),
        (0o040777, 0, 0, "every user"),
        (0o041777, 0, 0, ""),  # /tmp: nobody can put another file in the place of one
    ],
)
def test_who_else_can_change_code_is_known(monkeypatch: Any, mode: int, owner: int, group: int, writers: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    facts = os.stat_result((mode, 0, 0, 1, owner, group, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda path, **_: facts)
    assert other_writers(Path("space.py")) == writers


def test_code_that_everybody_can_change_is_told_of_before_it_runs(tmp_path: Path, caplog: Any) -> None:
    from tune_spaces.schema.load import load

    space = tmp_path / "mine.py"
    space.write_text("from tune_spaces.schema import Data, Space\nSPACE = Space(data=Data(name='digits'))\n")
    load(str(space))
    assert caplog.text == ""
    space.chmod(0o666)
    load(str(space))
    assert "every user can change it" in caplog.text
    assert f"chmod go-w {space}" in caplog.text
