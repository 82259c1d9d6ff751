"""A file is there whole or not at all, and bytes that were not written are never read."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from upath import UPath

from orchestrator.results.evaluation import read_table, write_table
from workloads.errors import Kind, UserError
from workloads.files import (
    damaged_file,
    is_whole,
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
