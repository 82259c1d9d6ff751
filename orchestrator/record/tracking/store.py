"""Which MLflow a run is logged to. What can never work is refused before anything is trained, without MLflow's own
import, which takes seconds; what is away is known within seconds and tried again later."""

import json
import os
import re
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from orchestrator.record.paths import ARTIFACTS
from orchestrator.record.provenance import this_python, without_secrets
from workloads.errors import Kind, UserError, nearest

ANSWER_S = 5.0
"""Seconds within which a server or a database's host answers, or counts as away."""
SERVERS, DATABASES = ("http", "https"), ("postgresql", "mysql", "mssql")
FORMS = ("sqlite:////FOLDER/mlflow.db", "http://HOST:5000", "postgresql://HOST/NAME")
DRIVERS = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Module of a database's driver -> its package, where that has another name."""
REFUSALS = ("does not exist", "authentication failed", "Unknown database", "Access denied")
"""What a database's server says that answers and will never let us in."""
PATHS = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("experiments", "artifact_location"),
)
"""Where MLflow's tables hold absolute paths of artifacts."""


def check_store(storage: str, uri: str | None) -> None:
    """Raises UserError for a tracking URI that can never work, and for a database or a server that is no MLflow's or of
    another version. uri: None for the database in a local storage. What is only away passes."""
    if uri is None:
        return None if "://" in storage else check_file(Path(storage) / "mlflow.db")
    scheme, _, rest = uri.partition(":")
    kind = scheme.partition("+")[0]
    if kind == "sqlite":
        return check_sqlite(uri)
    if kind in SERVERS:
        network_place(uri)
        return check_server(uri)
    if kind in DATABASES:
        if not names_place_inside(uri):
            network_place(uri)
        return check_database(uri)
    plugins = {point.name for point in entry_points(group="mlflow.tracking_store")}
    if scheme in {"databricks", *plugins}:
        return None
    if kind in ("file", "") or not rest:
        raise refusal("MLflow keeps runs in databases and on servers, no longer in folders", uri)
    raise refusal(f"MLflow has no store of the kind {scheme!r}; {nearest(kind, [*SERVERS, *DATABASES, 'sqlite'])}", uri)


def refusal(headline: str, uri: str, fix: str = f"write it like {', '.join(FORMS)}") -> UserError:
    return UserError(headline, where=f"--tracking-uri {without_secrets(uri)}", fix=fix)


def network_place(uri: str) -> SplitResult:
    """The parts of a URI that names a host. Raises UserError where it names none."""
    try:
        place = urlsplit(uri)
        valid = bool(place.hostname) and place.port != 0 and not re.search(r"\s", uri)
    except ValueError:  # of a port that is no number
        valid = False
    if not valid:
        raise refusal("the tracking URI names no host that there can be", uri)
    return place


def names_place_inside(uri: str) -> bool:
    """Whether a database's URI says by its query or by a name of ODBC's where it is, or names several hosts: the
    driver judges that."""
    netloc, query = urlsplit(uri).netloc, urlsplit(uri).query
    return "pyodbc" in uri.partition(":")[0] or "," in netloc or (not netloc.rpartition("@")[2] and bool(query))


def check_sqlite(uri: str) -> None:
    file = sqlite_file(uri)
    if file is None:
        raise refusal("the tracking URI names no file that outlives the launch", uri, f"write it like {FORMS[0]}")
    if not file.parent.is_dir():
        raise refusal(f"there is no folder {file.parent}", uri, "make it, or name one that is there")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise refusal(f"{file} cannot be written", uri, "name a file in a folder of yours")
    check_file(file)


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite database; None where the URI names none, as for one in memory and other databases."""
    name = uri.startswith("sqlite") and uri.partition(":///")[2].partition("?")[0]
    return Path(name) if name and ":memory:" not in name else None


def check_file(file: Path) -> None:
    """Raises UserError for a file that is no MLflow database, or one of another version. None there passes."""
    if not file.exists() or (file.is_file() and not file.stat().st_size):
        return
    try:
        # what a killed process has left half is undone by the first that may write
        mode = "rw" if os.access(file, os.W_OK) else "ro"
        place = f"{file.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(place, uri=True, timeout=ANSWER_S)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            row = database.execute("SELECT version_num FROM alembic_version").fetchone() if is_of_mlflow(tables) else ()
    except sqlite3.Error as error:
        if "locked" in str(error) or "readonly" in str(error):
            return
        fix = "move the file away, or name another by --tracking-uri"
        raise UserError(f"this is no database: {error}", where=str(file), fix=fix, kind=Kind.ENVIRONMENT) from error
    check_version(row, bool(tables), str(file), f"sqlite:///{file}")


def is_of_mlflow(tables: set[str]) -> bool:
    return {"alembic_version", "experiments"} <= tables


def check_version(row: Any, has_tables: bool, where: str, uri: str) -> None:
    """row: what `alembic_version` holds; () where the database has no such table. Raises UserError."""
    if not has_tables:
        return  # a new database, whose tables MLflow makes
    if not row:
        fix = "name another database by --tracking-uri, or leave it out for one in the storage"
        raise UserError("the database has tables, and they are not MLflow's", where=where, fix=fix)
    (version,), (known, newest) = row, revisions()
    if version == newest:
        return
    if version in known:
        fix = f"make a copy of it, then: {this_python()} -m mlflow db upgrade {without_secrets(uri)}"
        raise UserError(
            "the database was made by an older MLflow", where=where, fix=fix, kind=Kind.ENVIRONMENT,
            details="the upgrade keeps all runs; older MLflows cannot read it afterwards",
        )  # fmt: skip
    fix = f"{this_python()} -m pip install --upgrade mlflow, or name another database by --tracking-uri"
    headline = f"the database was made by a newer MLflow: its version {version} is not known here"
    raise UserError(headline, where=where, fix=fix, kind=Kind.ENVIRONMENT)


def revisions() -> tuple[set[str], str]:
    """(versions of a database that the installed MLflow knows, the newest of them), read from its migrations."""
    package = Path(str(find_spec("mlflow").origin)).parent  # type: ignore[union-attr]
    texts = [file.read_text("utf-8") for file in (package / "store" / "db_migrations" / "versions").glob("*.py")]
    known = {match[1] for text in texts if (match := re.search(r'^revision(?:: str)? = ["\'](\w+)', text, re.M))}
    before = {name for text in texts for name in re.findall(r'^down_revision.*?["\'](\w+)["\']', text, re.M)}
    (newest,) = known - before
    return known, newest


def check_database(uri: str) -> None:
    """Raises UserError for a database without its driver here, and one of another version."""
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = sqlalchemy.create_engine(uri)
    except (ImportError, ValueError, SQLAlchemyError) as error:
        module = getattr(error, "name", None)
        fix = f"pip install {DRIVERS.get(module, module)}" if module else "install the driver that the URI names"
        raise refusal(f"the driver of this database is not here: {error}", uri, fix) from error
    try:
        reach(uri)
        with engine.connect() as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names())
            query = sqlalchemy.text("SELECT version_num FROM alembic_version")
            row = connection.execute(query).fetchone() if is_of_mlflow(tables) else ()
    except (OSError, SQLAlchemyError) as error:
        if reason := next((line for line in str(error).splitlines() if any(words in line for words in REFUSALS)), ""):
            fix = "make the database and its user first, or mend the name or the password in the URI"
            raise refusal(f"the database refuses us: {without_secrets(reason)}", uri, fix) from error
        return  # away: the ledger keeps everything until it is back
    finally:
        engine.dispose()
    check_version(row, bool(tables), without_secrets(uri), uri)


def check_server(uri: str) -> None:
    """Raises UserError for a server that answers and is not MLflow's. Where the shell holds what opens a server, MLflow
    alone can tell."""
    import requests

    if any(name.startswith("MLFLOW_TRACKING_") and name != "MLFLOW_TRACKING_URI" for name in os.environ):
        return
    address = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    try:
        answer = requests.get(address, timeout=ANSWER_S)
    except requests.RequestException:
        return
    if answer.status_code in (200, 404) and not speaks_json(answer.text):
        fix = "give the address that MLflow's pages open at, without what follows #"
        raise refusal("a server answers there, and it is not MLflow's", uri, fix)


def speaks_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), Mapping)
    except ValueError:
        return False


def reach(uri: str) -> None:
    """Raises OSError within seconds where a server, or a database's host, does not answer."""
    place = urlsplit(uri)
    kind = place.scheme.partition("+")[0]
    if kind in SERVERS:
        import requests

        loose = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
        requests.get(
            f"{uri.rstrip('/')}/health",
            timeout=ANSWER_S,
            verify=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or not loose,
            cert=os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None,
        )
    elif kind in DATABASES and place.hostname and not names_place_inside(uri):
        port = place.port or {"postgresql": 5432, "mysql": 3306, "mssql": 1433}[kind]
        socket.create_connection((place.hostname, port), ANSWER_S).close()


def make_database(uri: str) -> None:
    """Make a new SQLite file with MLflow's tables, elsewhere first: whoever looks at its place meanwhile, or after this
    process was killed, sees no database or a whole one. Of several launchers that do so at once, one is the first."""
    import mlflow

    file = sqlite_file(uri)
    if file is None or file.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        made, copy = Path(folder) / file.name, file.with_name(f"{file.name}.{os.getpid()}")
        mlflow.MlflowClient(f"sqlite:///{made}").search_experiments(max_results=1)
        try:
            shutil.copy(made, copy)
            move_unless_there(copy, file)
        finally:
            copy.unlink(missing_ok=True)


def move_unless_there(new: Path, file: Path) -> None:
    """Both in one folder. Where the file system knows no links a file that comes at the same moment is replaced."""
    try:
        os.link(new, file)
    except FileExistsError:
        return
    except OSError:
        new.replace(file)


def follow_the_storage(root: Path) -> None:
    """Where a storage was moved or copied: paths of artifacts in its own database, which are absolute, follow it."""
    file, place = root / "mlflow.db", root / ARTIFACTS
    with closing(sqlite3.connect(file, timeout=20)) as database, database:
        locations = database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (before,) in locations:
            if not before or Path(before).name != place.name or same_place(Path(before), place):
                continue
            for table, column in PATHS:
                moved = f"{column} = ? OR instr({column}, ?) = 1"  # an earlier place is no pattern
                move = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {moved}"  # noqa: S608 - our names
                database.execute(move, (str(place), len(before) + 1, before, f"{before}/"))


def same_place(first: Path, second: Path) -> bool:
    """Whether two paths are one folder, under whatever names."""
    return first == second or (first.exists() and second.exists() and first.samefile(second))


def experiment_of(client: Any, name: str, location: str | None) -> tuple[str, bool]:
    """(an experiment's id, whether it had been deleted): it is looked up, restored or created. Of several launchers
    that create it at once, one is the first. What was deleted together with an experiment stays deleted."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, location)), False
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    key = str(experiment.experiment_id)
    if experiment.lifecycle_stage != "deleted":
        return key, False
    client.restore_experiment(key)
    while runs := client.search_runs([key]):
        for run in runs:
            client.delete_run(run.info.run_id)
    return key, True
