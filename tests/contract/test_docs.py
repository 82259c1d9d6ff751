"""Every command of the docs is run in this process, or a comment before its block says why it is not.

`<!-- not run: REASON -->` stands before a block whose commands no test can run here. A launch is run with `--dry-run`.
RUN is a run that is made once: the space of the page on one's own images, on a folder of made photographs. Blocks with
a prompt are transcripts: what they show is what is printed. Each page has a copy of the reader's folder. A command in
running text stands in a block as well, or is one that its tool takes: the command line parses it, nox has its sessions,
pytest its files and marks.
"""

import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.contract.test_readme import CLI, FENCE, PAGES, PROMPT, inline_code, verb_of
from tests.helpers.commands import orchestrate
from tests.helpers.correlated import white
from tests.helpers.files import write_images
from tune_spaces.schema.load import SPACES

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"(?P<before>(?:^<!-- .*? -->\n)*)^ *```(?P<kind>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S)
REASON = re.compile(r"<!-- not run: (.*?) -->")
ON_RAY = ("resume", "analyse")
"""Verbs that would start Ray: the docs leave the executor to its default, this test does not."""


@dataclass(frozen=True)
class Command:
    """What a shell would run of a page; `reason`: why no test does; `printed`: what the page shows of its output."""

    page: Path
    line: int
    text: str
    reason: str = ""
    printed: str = ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line} {self.text.removeprefix(PROMPT)[:60]}"


def commands_of(page: Path) -> Iterator[Command]:
    """Every command of a page's blocks, and every launch that its tables and its text name."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("text")) + 1
        reason = "".join(REASON.findall(block["before"]))
        if block["kind"] == "bash":
            whole = re.sub(r" *\\\n *", " ", block["text"]).split("\n")
            parts = [part.strip() for words in whole for part in re.sub(r" +# .*$", "", words).split("; ")]
            yield from (Command(page, line, part, reason) for part in parts if part)
        elif block["text"].startswith("$ "):
            command, printed = block["text"].removeprefix("$ ").split("\n", 1)
            yield Command(page, line, command, reason, printed)
    for words in inline_code(text):
        if words[:1] == ["launch"] and len(words) > 1 and words[1] in SPACES and "..." not in words:
            yield Command(page, 0, PROMPT + " ".join(words))


COMMANDS = [command for page in PAGES for command in commands_of(page)]
RUN_HERE = [command for command in COMMANDS if not command.reason]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who has photographs, latents, a cluster file and a run of the docs' own space."""
    folder = tmp_path_factory.mktemp("reader")
    write_images(folder, {"photos/good": 120, "photos/scratched": 8, "new_photos": 3}, (32, 32))
    for seed, name in enumerate(("train", "val", "test", "svhn")):
        np.savez(folder / f"{name}.npz", z1=white(40, (6, 4, 4), seed).float())
    shutil.copytree(DOCS.parent / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    page = (DOCS / "own-images.md").read_text(encoding="utf-8")
    (space,) = (block["text"] for block in BLOCK.finditer(page) if block["kind"] == "python")
    (folder / "parts.py").write_text(f'"""The space of the docs."""\n\n{space}')
    words = ["launch", "parts.py", "--preset", "smoke", "--points", "1", "--executor", "local"]
    for name in ("RUN", "OTHER_RUN"):
        done = orchestrate(*words, "--name", name, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def folders(reader: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Page -> a copy of the reader's folder."""
    copies = tmp_path_factory.mktemp("pages")
    return {page: Path(shutil.copytree(reader, copies / page.name)) for page in PAGES}


def test_every_command_is_run_or_says_why_not() -> None:
    print(
        f"{len(COMMANDS)} commands in {len(PAGES)} pages: {len(RUN_HERE)} run, {len(COMMANDS) - len(RUN_HERE)} marked"
    )
    assert [str(command) for command in RUN_HERE if not command.text.startswith(PROMPT)] == []
    assert len(RUN_HERE) > len(COMMANDS) / 2


@pytest.mark.parametrize("command", RUN_HERE, ids=str)
def test_a_command_of_the_docs_runs(command: Command, folders: dict[Path, Path]) -> None:
    words = shlex.split(re.sub(r"[\[\]]", "", command.text.removeprefix(PROMPT)))
    if words[0] == "launch" and not command.printed:
        words += ["--dry-run"] * ("--dry-run" not in words)
    if words[0] in ON_RAY:
        words += ["--executor", "local"]
    done = orchestrate(*words, cwd=folders[command.page], COLUMNS="200")
    expected = 2 if command.printed.startswith("error: ") else 0
    assert done.returncode == expected, done.stdout + done.stderr
    lines = [line.rstrip() for line in (done.stdout + done.stderr).splitlines()]
    assert [line for line in command.printed.splitlines() if line.rstrip() not in lines] == []


INLINE = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?((?:python3? -m|anomaly-orchestrator|pip|nox)\b.*)", re.S)
"""A command in running text: variables before it, and the environment's folder, are not part of it."""


def inline_commands(page: Path) -> set[str]:
    pieces = re.findall("`([^`]+)`", FENCE.sub("", page.read_text(encoding="utf-8")))
    return {" ".join(command[1].split()) for piece in pieces if (command := INLINE.fullmatch(piece))}


def refusal(command: str) -> str:
    """Why the tool of an inline command would not take it; empty where it would."""
    words = [word for word in shlex.split(re.sub(r"[\[\]]", "", command)) if word != "..."]
    match words:
        case ["anomaly-orchestrator", *rest] | [_, "-m", "orchestrator", *rest]:
            return cli_refusal(rest)
        case ["nox", *rest]:
            sessions = re.findall(r"^def (\w+)\(session", (DOCS.parent / "noxfile.py").read_text(), re.M)
            wanted = rest[rest.index("-s") + 1 :] if "-s" in rest else []
            return " ".join(name for name in wanted if name not in sessions)
        case [_, "-m", "pytest", *rest]:
            marks = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
            known = [mark.partition(":")[0] for mark in marks["markers"]]
            paths = [word for word in rest if "/" in word and not (DOCS.parent / word).exists()]
            return " ".join(
                [*paths, *(rest[n + 1] for n, w in enumerate(rest) if w == "-m" and rest[n + 1] not in known)]
            )
        case [_, "-m", module, *_]:
            return "" if importlib.util.find_spec(module) else f"no module {module}"
        case ["pip", "install"]:  # what pip does, not a command to type
            return ""
    return "neither in a block nor known to a tool"


def cli_refusal(words: list[str]) -> str:
    """What the command line says of such words before it does anything."""
    if not words or words[0].startswith("-"):
        return " ".join(word for word in words if word not in {name for option in CLI.params for name in option.opts})
    try:
        command, rest = verb_of(words)
        command.make_context(words[0], rest)
    except Exception as error:  # Typer's own parser has no public class for them
        return str(error) or repr(error)
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_the_text_is_in_a_block_or_taken_by_its_tool(page: Path) -> None:
    in_blocks = {command.text.removeprefix(".venv/bin/") for command in COMMANDS}
    wrong = {command: refusal(command) for command in inline_commands(page) - in_blocks}
    assert {command: why for command, why in wrong.items() if why} == {}


@pytest.mark.parametrize(
    "command",
    [
        "python -m orchestrator resum RUN", "python -m orchestrator report RUN --aloud", "anomaly-orchestrator --hurry",
        "nox -s chekcs", "python -m pytest tests/unit/none.py", "python -m pytest -m slwo", "python -m tests.nothing",
        "pip install something-else",
    ],
)  # fmt: skip
def test_a_command_that_its_tool_would_not_take_is_seen(command: str) -> None:
    assert refusal(command)
