"""Tracking URIs that can never work, and databases of other versions, are refused before anything is trained."""

import shutil
import socket
import sqlite3
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import mlflow
import pytest

import orchestrator
from orchestrator.record.tracking.store import check_store, make_database, revisions
from workloads.errors import UserError


@pytest.fixture
def database(empty, tmp_path):
    return shutil.copy(empty, tmp_path / "mlflow.db")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def of_version(file, version):
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
    return file


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mlruns", "no longer in folders"),
        ("file:///home/a/mlruns", "no longer in folders"),
        ("htpp://server:5000", "no store of the kind 'htpp'; did you mean 'http'"),
        ("http:///path", "names no host"),
        ("http://server:port", "names no host"),
        ("http://my server", "names no host"),
        ("sqlite://mlflow.db", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///not/there/mlflow.db", "there is no folder"),
        ("sqlite:////usr", "this is no database"),
        ("postgresql+nodriver://u:secret@h/db", "the driver of this database is not here"),
    ],
)
def test_a_uri_that_can_never_work_is_refused_with_a_fix_and_nothing_is_made(elsewhere, uri, words):
    with pytest.raises(UserError) as refused:
        orchestrator.plan("sweep_digits", preset="smoke", storage=elsewhere / "runs", tracking_uri=uri)
    assert words in str(refused.value)
    assert refused.value.fix
    assert "secret" not in str(refused.value)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("scheme", "module", "package"),
    [("postgresql+psycopg", "psycopg", "'psycopg[binary]'"), ("postgresql+pg8000", "pg8000", "pg8000")],
)
def test_a_missing_driver_is_named_by_its_package(elsewhere, monkeypatch, scheme, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as refused:
        check_store(str(elsewhere), f"{scheme}://u:secret@h/db")
    assert refused.value.fix == f"pip install {package}"


def test_no_file_is_made_beside_a_database_that_is_named_by_its_socket(elsewhere):
    make_database("postgresql:///mlflow?host=/run/postgresql")
    assert list(elsewhere.iterdir()) == []


def test_what_may_work_passes(elsewhere, database):
    for uri in (f"sqlite:///{database}", f"sqlite:///{elsewhere / 'new.db'}", "databricks", "http://127.0.0.1:9"):
        check_store(str(elsewhere), uri)
    check_store(str(elsewhere), None)
    check_store("s3://bucket/runs", None)
    assert list(elsewhere.iterdir()) == []


def test_an_older_database_is_to_be_upgraded_and_a_newer_one_is_not(database, tmp_path):
    known, newest = revisions()
    with closing(sqlite3.connect(database)) as made:
        assert made.execute("SELECT version_num FROM alembic_version").fetchone() == (newest,)
    with pytest.raises(UserError, match="made by an older MLflow") as older:
        check_store(str(tmp_path), f"sqlite:///{of_version(database, min(known - {newest}))}")
    assert f"mlflow db upgrade sqlite:///{database}" in older.value.fix
    of_version(database, "f00dfeedf00d")
    with pytest.raises(UserError, match="newer MLflow: its version f00dfeedf00d") as newer:
        check_store(str(tmp_path), None)
    assert "db upgrade" not in str(newer.value)
    assert "install --upgrade mlflow" in newer.value.fix


def test_files_that_are_no_database_of_mlflow_are_named(tmp_path):
    (tmp_path / "mlflow.db").write_text("notes" * 1000)
    with pytest.raises(UserError, match="no database"):
        check_store(str(tmp_path), None)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(UserError, match="they are not MLflow's"):
        check_store(str(tmp_path), f"sqlite:///{tmp_path / 'other.db'}")


@pytest.fixture
def served():
    """Serves an answer to every request; returns the address."""
    servers = []

    def serve(text, status=200):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_server_that_is_not_mlflows_is_refused_and_one_that_wants_a_password_is_not(served, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="it is not MLflow's"):
        check_store(str(tmp_path), served("<html>A wiki</html>"))
    with pytest.raises(UserError, match="it is not MLflow's"):
        check_store(str(tmp_path), served("Not Found", 404))
    check_store(str(tmp_path), served('{"error_code": "RESOURCE_DOES_NOT_EXIST"}', 404))
    check_store(str(tmp_path), served("You are not authenticated", 401))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")  # of a page to log in at MLflow alone knows what it is
    check_store(str(tmp_path), served("<html>Log in</html>"))


def test_a_server_that_takes_connections_and_never_answers_holds_a_launch_up_for_moments(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.record.tracking.store.ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=4) as silent:
        check_store(str(tmp_path), f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_launcher_that_is_killed_while_it_makes_the_tables_leaves_no_half_of_a_database(tmp_path, monkeypatch):
    file = tmp_path / "mlflow.db"

    def killed(uri):
        with closing(sqlite3.connect(uri.partition(":///")[2])) as database, database:
            database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", killed)
        with pytest.raises(KeyboardInterrupt):
            make_database(f"sqlite:///{file}")
    assert list(tmp_path.iterdir()) == []
    make_database(f"sqlite:///{file}")
    check_store(str(tmp_path), None)
    before = file.read_bytes()
    make_database(f"sqlite:///{file}")  # one that is there stays
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == before
