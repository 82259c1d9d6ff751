"""A state comes back as it was, and whatever is damaged or unfinished is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads.training import checkpoint
from workloads.training.checkpoint import CorruptCheckpointError, is_complete, load_state, save_state

FILES = (checkpoint.TENSORS, checkpoint.PLAIN, checkpoint.MANIFEST)


def state() -> dict[str, Any]:
    return {
        "net": {"weight": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last), "steps": torch.tensor(3)},
        "optimiser": {"state": {0: {"exp_avg": torch.zeros(2)}, 1: {}}, "groups": [{"lr": 1e-3, "params": [0, 1]}]},
        "half": torch.ones(3, dtype=torch.bfloat16),
        "empty": torch.empty(0, 5),
        "plain": [1, 2.5, True, None, "text", []],
        "a/b": {"c": torch.tensor([1.0])},
        "a": {"b/c": torch.tensor([2.0])},
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_state(tmp_path / "step_3", state())
    return tmp_path / "step_3"


def test_a_nested_state_with_number_keys_comes_back_whole(tmp_path: Path) -> None:
    before = state()
    save_state(tmp_path / "new" / "folders", before)
    assert same(load_state(tmp_path / "new" / "folders"), before)


def test_tensors_that_share_memory_come_back_each_its_own(tmp_path: Path) -> None:
    base = torch.arange(6.0)
    save_state(tmp_path, {"whole": base, "again": base, "view": base[2:4], "turned": base.view(2, 3).T})
    loaded = load_state(tmp_path)
    loaded["whole"].zero_()
    assert torch.equal(loaded["again"], base)
    assert torch.equal(loaded["view"], base[2:4])
    assert torch.equal(loaded["turned"], base.view(2, 3).T)


def only(folder: Path, name: str) -> Path:
    """The one file of a kind."""
    (path,) = folder.glob(f"*{name}")
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused_by_name(folder: Path, name: str) -> None:
    path = only(folder, name)
    whole = path.read_bytes()
    for length in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptCheckpointError, match=name):
            load_state(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_refused(folder: Path, name: str) -> None:
    path = only(folder, name)
    whole = bytearray(path.read_bytes())
    for place in (0, len(whole) // 2, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 0x10
        path.write_bytes(flipped)
        with pytest.raises(CorruptCheckpointError):
            load_state(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    only(folder, name).unlink()
    assert is_complete(folder) == (name != checkpoint.MANIFEST)
    with pytest.raises(CorruptCheckpointError, match=name):
        load_state(folder)


def test_a_manifest_that_leaves_a_file_out_is_refused(folder: Path) -> None:
    (folder / checkpoint.MANIFEST).write_text('{"sha256": {}}')
    with pytest.raises(CorruptCheckpointError, match=checkpoint.TENSORS):
        load_state(folder)


@pytest.mark.parametrize("thing", [object(), {1, 2}, b"bytes", print, torch.float32])
def test_what_would_need_a_pickle_is_refused_with_its_place(tmp_path: Path, thing: Any) -> None:
    with pytest.raises(TypeError, match=f"found {type(thing).__name__} at /net/0/odd"):
        save_state(tmp_path, {"net": [{"odd": thing}]})
    assert not is_complete(tmp_path)


def test_an_older_checkpoint_is_replaced(folder: Path) -> None:
    save_state(folder, {"other": torch.ones(2)})
    assert same(load_state(folder), {"other": torch.ones(2)})
    assert len(list(folder.iterdir())) == len(FILES), "the older files are gone"


@pytest.mark.parametrize("survives", [0, 1, 2])
def test_a_writer_that_dies_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: Any, survives: int) -> None:
    real, written = checkpoint.write_atomically, []

    def dying(path: Path, data: bytes) -> None:
        if len(written) == survives:
            path.with_name("half").write_bytes(data[: len(data) // 2])
            raise OSError("the disk is full")
        written.append(path)
        real(path, data)

    monkeypatch.setattr(checkpoint, "write_atomically", dying)
    with pytest.raises(OSError, match="full"):
        save_state(tmp_path, state())
    assert not is_complete(tmp_path)
    with pytest.raises(CorruptCheckpointError, match="did not finish"):
        load_state(tmp_path)


@pytest.mark.parametrize("survives", [0, 1, 2])
def test_a_writer_that_dies_over_an_older_checkpoint_leaves_the_older(
    folder: Path, monkeypatch: Any, survives: int
) -> None:
    before, real, written = load_state(folder), checkpoint.write_atomically, []

    def dying(path: Path, data: bytes) -> None:
        if len(written) == survives:
            raise OSError("killed")
        written.append(path)
        real(path, data)

    monkeypatch.setattr(checkpoint, "write_atomically", dying)
    with pytest.raises(OSError, match="killed"):
        save_state(folder, {"other": torch.ones(2)})
    assert same(load_state(folder), before)


def test_a_manifest_cannot_point_out_of_its_folder(folder: Path) -> None:
    hashes = json.dumps({"sha256": dict.fromkeys((checkpoint.TENSORS, checkpoint.PLAIN), "../../secret")})
    (folder / checkpoint.MANIFEST).write_text(hashes)
    with pytest.raises(CorruptCheckpointError):
        load_state(folder)
