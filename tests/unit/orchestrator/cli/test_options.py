"""Where storage, data and tracking are when no option says so."""

import json

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from workloads.errors import UserError

VERB = ["launch", "sweep_digits", "--preset", "smoke", "--dry-run", "--plain"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ORCHESTRATOR_STORAGE", "ORCHESTRATOR_DATA_DIR", "ORCHESTRATOR_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def results(*words):
    """Where a launch's results would lie."""
    done = CliRunner().invoke(app, [*VERB, *words], catch_exceptions=False)
    (line,) = [line for line in done.output.splitlines() if line.startswith("results")]
    return line.split()[1].rpartition("/")[0]


def test_the_last_of_file_variable_and_option_wins(here, monkeypatch):
    assert results() == "runs"
    (here / "orchestrator.toml").write_text('storage = "of_the_file"\n')
    assert results() == "of_the_file"
    monkeypatch.setenv("ORCHESTRATOR_STORAGE", "of_the_variable")
    assert results() == "of_the_variable"
    assert results("--storage", "of_the_option") == "of_the_option"


def test_the_file_is_the_one_beside_the_storage_that_was_named(here):
    """The one in the current folder says nothing then."""
    (here / "orchestrator.toml").write_text('tracking_uri = "http://here:5000"\n')
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "orchestrator.toml").write_text('tracking_uri = "http://there:5000"\n')
    done = CliRunner().invoke(app, [*VERB, "--storage", "elsewhere/runs"], catch_exceptions=False)
    assert "http://there:5000" in done.output
    assert "http://here:5000" in CliRunner().invoke(app, VERB, catch_exceptions=False).output


def test_paths_of_the_file_are_seen_from_its_folder(here):
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "orchestrator.toml").write_text('data_dir = "images"\n')
    words = ["data", "ls", "--json"]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0, "a verb without a storage"
    from orchestrator.cli.options import defaults_beside

    _, values = defaults_beside(str(here / "elsewhere" / "runs"))
    assert values == {"data_dir": str(here / "elsewhere" / "images")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('storag = "x"', "storag: no such key; did you mean 'storage'"),
        ("storage = 3", "storage: must be text"),
        ("storage = ", "no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(here, text, message):
    (here / "orchestrator.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(app, ["runs", "ls"], catch_exceptions=False)


def test_a_run_says_who_has_said_where_it_lies(here, monkeypatch):
    from tests.helpers.records import ledger_at, opened

    ledger_at(here / "store", "run", opened())
    (here / "orchestrator.toml").write_text('storage = "store"\n')
    done = CliRunner().invoke(app, ["runs", "show", "run", "--json"], catch_exceptions=False)
    assert json.loads(done.output)["from"]["storage"]["by"] == str(here / "orchestrator.toml")
