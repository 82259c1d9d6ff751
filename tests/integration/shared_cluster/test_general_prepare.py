"""`data prepare` on real Ray, through the command line: killed in the middle, continued, refused, verified.

What is killed runs in a process and a Ray of its own; all else in this process, on the shared one.
"""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from orchestrator.data.auxiliary.manifest import Manifest
from tests.helpers.commands import kill_once, orchestrate
from tests.helpers.files import pixels
from workloads.data.loaders import tiny_images

pytestmark = pytest.mark.ray
IMAGES = 40_000


def data(*words):
    return orchestrate("data", *words, no_proxy="*")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A file of exactly the published format, 123 MB."""
    file = tmp_path_factory.mktemp("source") / "tiny_images.bin"
    some = pixels(1000, 3, 32, 32)
    with file.open("wb") as opened:
        for number in range(IMAGES // 1000):
            opened.write(tiny_images.encode(np.roll(some, number, axis=0) ^ np.uint8(number)))
    return file


def prepare(source, out, choose="all"):
    words = ["prepare", "tiny_images", "--source", source, "--out", out, "--choose", choose]
    return [*words, "--shard-mb", "3", "--hold-out", "0", "--plain"]


@pytest.fixture(scope="module")
def killed_and_continued(cluster, source, tmp_path_factory):
    """A set whose prepare was killed with SIGKILL in the middle and then continued: (out, shards before the kill)."""
    out = tmp_path_factory.mktemp("set") / "killed"
    command = [sys.executable, "-m", "orchestrator", "data", *map(str, prepare(source, out))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kill_once(process, lambda: len(list((out / "records").glob("*.json"))) >= 5)
    assert not (out / "manifest.json").exists()
    before = {f.name: f.stat().st_mtime_ns for f in (out / "records").glob("*.json")}
    assert data("verify", out).returncode == 2, "a set that is not finished is none"
    done = data(*prepare(source, out))
    assert done.returncode == 0, done.stderr
    return out, before


def test_a_killed_prepare_continues_and_every_image_is_there_once(killed_and_continued):
    out, before = killed_and_continued
    assert 5 <= len(before) < 80
    after = {f.name: f.stat().st_mtime_ns for f in (out / "records").glob("*.json")}
    assert {name: after[name] for name in before} == before, "finished shards are not made again"
    ids = [
        i
        for shard in Manifest.read(str(out)).shards
        for i in pq.read_table(out / "shards" / f"{shard.name}.parquet")["id"].to_pylist()
    ]
    assert ids == [f"tiny_images/{n:08d}" for n in range(IMAGES)]
    assert not list((out / "shards").glob(".*"))


def test_an_uninterrupted_prepare_makes_the_same_bytes(killed_and_continued, source, tmp_path):
    done = data(*prepare(source, tmp_path / "whole"))
    assert done.returncode == 0, done.stderr
    assert "images/s" in done.stdout
    whole, continued = (
        json.loads((p / "manifest.json").read_text()) for p in (tmp_path / "whole", killed_and_continued[0])
    )
    assert whole == continued


def test_verify_names_the_shard_with_the_flipped_byte(killed_and_continued):
    out, _ = killed_and_continued
    assert data("verify", out).returncode == 0
    shard = out / "shards" / "train-000007.parquet"
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 1
    shard.write_bytes(raw)
    done = data("verify", out, "--plain")
    assert done.returncode == 1
    assert "train-000007.parquet: other bytes" in done.stdout
    raw[len(raw) // 2] ^= 1
    shard.write_bytes(raw)
    assert data("verify", out).returncode == 0


def test_a_changed_source_and_other_options_are_refused(killed_and_continued, source):
    out, _ = killed_and_continued
    done = data(*prepare(source, out, choose="0.5"))
    assert done.returncode == 4
    assert "choose" in done.stderr
    with source.open("ab") as opened:
        opened.write(bytes(3072))
    done = data(*prepare(source, out))
    assert done.returncode == 4
    assert "source.bytes" in done.stderr
    with source.open("ab") as opened:
        opened.write(b"x")
    done = data(*prepare(source, out))
    assert done.returncode == 2
    assert "truncated" in done.stderr


def test_show_stats_and_ls(killed_and_continued, tmp_path):
    out, _ = killed_and_continued
    assert data("show", out, "--sheet", tmp_path / "sheet.png").returncode == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert json.loads(data("stats", out, "--json").stdout)["rows"] == IMAGES
    assert f"{IMAGES:,} train images" in data("ls", out.parent).stdout
