"""The notebook and the page of the Python door run, block after block as a reader runs them."""

import json
import re
from pathlib import Path

import matplotlib
import pytest
import torch

ROOT = Path(__file__).parents[2]
NOTEBOOK, PAGE = ROOT / "examples" / "python_door.ipynb", ROOT / "docs" / "python.md"
NOT_RUN = "<!-- not run"
BLOCK = re.compile(rf"(?:^({NOT_RUN}[^\n]*)\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where both are read: the page finds the run that the notebook has made."""
    return tmp_path_factory.mktemp("reader")


def run_blocks(blocks, folder, monkeypatch):
    """What the blocks bind. Each may end in an expression, as a notebook's cells do."""
    matplotlib.use("agg")
    torch.set_num_threads(1)  # such small networks are slower on several, which other tests use too
    monkeypatch.chdir(folder)
    names = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, "a block of the page", "exec"), names)
    return names


def test_the_notebook_runs(folder, monkeypatch):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    blocks = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names = run_blocks(blocks, folder, monkeypatch)
    assert names["run"].outcome == "complete"
    assert len(names["anomaly"]) == 1797


def test_a_notebook_is_kept_without_what_it_printed():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")


def test_the_page_runs(folder, monkeypatch, capsys):
    blocks = [code for mark, code in BLOCK.findall(PAGE.read_text()) if not mark]
    names = run_blocks(blocks, folder, monkeypatch)
    assert names["run"].outcome == "complete"
    assert "did you mean 'points'" in capsys.readouterr().out


def test_the_page_says_why_a_block_is_not_run():
    marks = [mark for mark, _ in BLOCK.findall(PAGE.read_text()) if mark]
    assert marks == ["<!-- not run: needs a cluster -->"]
