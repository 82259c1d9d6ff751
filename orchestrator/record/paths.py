"""Where everything of a storage and of a run lies. A storage is a local folder or any fsspec URI.

<storage>/
  mlflow.db, mlartifacts/          MLflow, unless --tracking-uri says otherwise
  rates.json                       measured speeds, for the next plan's estimate
  data/<digest>/                   shards of uint8 images
  stages/<hash>/                   shared stages by content: generators and their banks of fakes
  baselines/<hash>/                scikit-learn's scores, by content
  <run>/
    ledger/                        the truth: what was asked, what happened (000001.jsonl, ...)
    heartbeat.json                 when the launcher was last alive
    trials/<id>/                   rung-1000.json, scores/rung-1000.parquet, units/ (network states)
    ray/                           Ray Train and Tune's own files
    analyses/<name>/               <class>.json and its pictures
    code/<digest>/                 the method, where it is none of the tree
    report/                        report.html, and what it was made of: report.md, the tables (CSV), report.json,
                                   roc.png, scores.png
"""

import re
from dataclasses import dataclass

from upath import UPath

from workloads.errors import UserError
from workloads.units import Unit

BASELINE = "scores.parquet"
"""In a folder of `baselines`."""
ARTIFACTS = "mlartifacts"
SHARED = ("mlflow.db", ARTIFACTS, "rates.json", "data", "stages", "baselines")


def is_run_name(name: str) -> bool:
    """One path piece that stays below the storage."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", name) is not None


def check_run_name(name: str) -> None:
    """Raises UserError for a name that could leave the storage, or that something else in it has."""
    if name in SHARED:
        raise UserError(
            f"{name!r} cannot name a run: the storage has something of that name",
            fix="choose another --name",
        )
    if not is_run_name(name):
        raise UserError(
            f"{name!r} cannot name a run",
            fix="use letters, digits, '_', '.' and '-', beginning with a letter or digit",
        )


@dataclass(frozen=True)
class RunPaths:
    """Paths inside one storage for one run. Names come from users: a name that could leave the storage is refused."""

    storage: str
    run: str

    def __post_init__(self) -> None:
        check_run_name(self.run)

    @property
    def root(self) -> UPath:
        return UPath(self.storage)

    @property
    def folder(self) -> UPath:
        return self.root / self.run

    @property
    def is_local(self) -> bool:
        return "://" not in self.storage

    @property
    def database(self) -> str:
        """URI of MLflow's database in a local storage."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def ledger(self) -> UPath:
        """Folder of the segments."""
        return self.folder / "ledger"

    @property
    def format_1_ledger(self) -> UPath:
        """Where an earlier version has left the events."""
        return self.folder / "ledger.jsonl"

    @property
    def vouched(self) -> bool:
        """Whether every file of the run has a checksum: those of an earlier version have none."""
        return not self.format_1_ledger.exists()

    @property
    def heartbeat(self) -> UPath:
        return self.folder / "heartbeat.json"

    @property
    def code(self) -> UPath:
        """Where the code of a method from outside the tree is kept, by its digest."""
        return self.folder / "code"

    @property
    def report(self) -> UPath:
        return self.folder / "report"

    @property
    def data(self) -> UPath:
        return self.root / "data"

    @property
    def stages(self) -> UPath:
        return self.root / "stages"

    def stage(self, key: str) -> UPath:
        return self.stages / key

    @property
    def baselines(self) -> UPath:
        return self.root / "baselines"

    def analysis(self, name: str, target: str) -> UPath:
        return self.folder / "analyses" / name / f"{target}.json"

    @property
    def trials(self) -> UPath:
        return self.folder / "trials"

    def trial(self, key: str) -> "TrialPaths":
        return TrialPaths(self.trials / key)


def check_tracking(paths: RunPaths, uri: str | None) -> None:
    """Raises UserError where the storage cannot hold MLflow's file and no other database is named."""
    if uri is None and not paths.is_local:
        raise UserError("MLflow's SQLite file needs a local storage", fix="give --tracking-uri a database or a server")


@dataclass(frozen=True)
class TrialPaths:
    """Paths of one trial."""

    folder: UPath

    @property
    def vouched(self) -> bool:
        """As of the run."""
        return not (self.folder.parent.parent / "ledger.jsonl").exists()

    def rung(self, rung: int) -> UPath:
        return self.folder / f"rung-{rung:04d}.json"

    def scores(self, rung: int) -> UPath:
        return self.folder / "scores" / f"rung-{rung:04d}.parquet"

    def scores_share(self, rung: int, rank: int) -> UPath:
        return self.folder / "scores" / f"rung-{rung:04d}-part-{rank}.parquet"

    def scores_shares(self, rung: int) -> list[UPath]:
        """What workers have left of a rung, also those of a larger attempt that has died, and of which a checksum alone
        is left."""
        files = self.folder.glob(f"scores/rung-{rung:04d}-part-*.parquet*")
        return list({file.with_name(file.name.removesuffix(".sha256")) for file in files})

    @property
    def units(self) -> UPath:
        """Of the networks' states."""
        return self.folder / "units"

    def unit(self, unit: Unit, rung: int) -> UPath:
        return self.units / f"{unit.target}-{unit.part}" / f"rung-{rung:04d}"
