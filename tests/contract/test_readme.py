"""What the docs name exists: links and paths lead somewhere, commands and options are the command line's own."""

import re
import shlex
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from orchestrator.cli import app
from tune_spaces.schema.load import SPACES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROMPT = "python -m orchestrator "
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CLI = typer.main.get_command(app)
page = pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))


def verb_of(words: list[str]) -> tuple[Any, list[str]]:
    """(command, the words after its name). Fails where a word should name a verb and does not."""
    command: Any = CLI
    while hasattr(command, "commands"):
        assert set(words[:1]) & set(command.commands), f"no verb {' '.join(words)!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options_of(command: Any) -> set[str]:
    """Every option of a verb, or of all verbs of a group."""
    if hasattr(command, "commands"):
        return {"--help"}.union(*map(options_of, command.commands.values()))
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")}


def options_in(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match("--[a-z]", word)}


def shell_commands(text: str) -> list[list[str]]:
    """Words after the name of the program, of every call in a code block; brackets of optional words are left out."""
    lines = "\n".join(FENCE.findall(text)).replace("\\\n", " ").replace("; ", "\n").splitlines()
    calls = [line.partition(PROMPT)[2] for line in lines if PROMPT in line]
    return [shlex.split(call.replace("[", "").replace("]", ""), comments=True) for call in calls]


def inline_code(text: str) -> list[list[str]]:
    """Words of every piece of code in running text and tables."""
    pieces = [piece.removeprefix(PROMPT) for piece in re.findall("`([^`]+)`", FENCE.sub("", text))]
    return [re.sub(r"[\[\]]", "", piece).split() for piece in pieces]


@page
def test_links_and_paths_lead_to_files(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (file.parent / link).exists()] == []
    paths = set(re.findall(r"(?<![\w/.])[a-z_]+(?:/\w+)+\.(?:py|yaml|toml|md)\b", text))
    assert [path for path in paths if not (ROOT / path).exists() and not (file.parent / path).exists()] == []


@page
def test_commands_of_code_blocks_are_accepted(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in shell_commands(file.read_text(encoding="utf-8")):
        for name in (word for word in words if word.endswith(".yaml")):
            Path(name).touch()  # a file of the user's that must be there
        command, arguments = verb_of(words)
        unfinished = [word for word in arguments if word != "..."]
        command.make_context(" ".join(words[:2]), unfinished)  # raises for what the verb does not take
        check_space(words)


@page
def test_commands_and_options_in_the_text_exist(file: Path) -> None:
    known = options_of(CLI) | {name for parameter in CLI.params for name in parameter.opts}
    for words in inline_code(file.read_text(encoding="utf-8")):
        if words and words[0].startswith("--"):
            assert options_in(words) <= known, words
        elif len(words) > 1 and words[0] in CLI.commands:  # type: ignore[attr-defined]
            command, _ = verb_of(words)
            assert options_in(words) <= options_of(command), words
            check_space(words)


def check_space(words: list[str]) -> None:
    """`launch` and `plan` name a space, or a file of the user's."""
    names = list(takewhile(lambda word: not word.startswith("-"), words[1:]))
    if words[0] in ("launch", "plan") and names:
        assert names[0] in SPACES or names[0].endswith(".py"), words


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
