"""A NumPy file that claims more than it holds is refused by name, before memory is asked for."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from upath import UPath

from orchestrator.data.auxiliary.sources.npz import opened
from workloads.data.loaders.image_arrays import image_arrays
from workloads.errors import UserError
from workloads.klods.latent_files import read


def header(shape, dtype="|u1"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(file, content, claim=None):
    """An .npz file of this member. claim: bytes that the directory says it has."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("data.npy", content)
        if claim is not None:
            written.getinfo("data.npy").file_size = claim
    return file


@pytest.mark.parametrize(
    "shape", [(10**12, 3072), (10**6, 3, 32, 32), (-1, 3072)], ids=["petabytes", "gigabytes", "negative"]
)
@pytest.mark.parametrize("claim", [None, 10**9, 10**16])
def test_a_header_that_claims_too_much_is_refused_before_anything_is_made_of_it(tmp_path, shape, claim):
    content = header(shape) + bytes(100)
    (tmp_path / "a.npy").write_bytes(content)
    latents = header(shape, "<f4") + bytes(100)
    (tmp_path / "z.npy").write_bytes(latents)
    tracemalloc.start()
    for attempt in (
        lambda: image_arrays(tmp_path / "a.npy"),
        lambda: image_arrays(archive(tmp_path / "a.npz", content, claim)),
        lambda: read(tmp_path / "z.npy"),
        lambda: read(archive(tmp_path / "z.npz", latents, claim)),
        lambda: opened(UPath(archive(tmp_path / "b.npz", content, claim)), 32).__enter__(),
    ):
        with pytest.raises(UserError, match=r"header claims|says to have"):
            attempt()
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_whole_files_are_read_however_they_are_packed(tmp_path):
    images = np.zeros((50, 3, 64, 64), np.uint8)  # of which deflate makes a thousandth
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", data=images)
        assert image_arrays(tmp_path / "a.npz").shape == images.shape
    np.save(tmp_path / "a.npy", np.asfortranarray(images))
    assert image_arrays(tmp_path / "a.npy").shape == images.shape


def test_an_encrypted_archive_is_refused_by_name(tmp_path):
    file = archive(tmp_path / "a.npz", header((1, 3072)) + bytes(3072))
    content = bytearray(file.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="encrypted") as refused:
        image_arrays(file)
    assert refused.value.where == str(file)
