"""scikit-learn's baselines on the same splits."""

from collections.abc import Generator
from dataclasses import dataclass

import pyarrow as pa
from upath import UPath

from orchestrator.execution.executor import End, RungReport
from orchestrator.execution.work.worker import Worker
from orchestrator.planning.early_stopping import Decision
from orchestrator.results.evaluation import write_table
from workloads.files import alone, is_whole, remove_partials
from workloads.scoring.baselines import baseline_rows


@dataclass(frozen=True)
class BaselineWork:
    """One baseline, for every target. path: of its score table, in a folder that several runs share."""

    name: str
    path: str
    threads: int = 1

    def run(self, worker: Worker) -> Generator[RungReport, Decision | None, End]:
        """Fit and score it, unless another run has made it meanwhile. It has no rungs."""
        yield from ()
        folder = UPath(self.path).parent
        with alone(folder):
            remove_partials(folder)
            if not is_whole(UPath(self.path), vouched=True):
                self._score(worker)
        return End()

    def _score(self, worker: Worker) -> None:
        targets = worker.splits.targets
        views = [worker.splits.view(target, worker.device) for target in targets.names]
        tables = [baseline_rows(self.name, view, with_out=bool(targets.members)) for view in views]
        write_table(UPath(self.path), pa.concat_tables(tables).unify_dictionaries())
