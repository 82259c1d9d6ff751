"""A run as whoever opens it from Python sees it: what was asked, how far it is, its numbers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.planning.plan import Plan, plan_of
from orchestrator.planning.request import Request, absolute
from orchestrator.record.heartbeat import life_of
from orchestrator.record.runs import open_run
from orchestrator.record.state import RunState, TrialState
from orchestrator.results.evaluation import read_table
from orchestrator.results.report.tables import cells
from orchestrator.results.report.write import PAGE
from orchestrator.results.run import method_of, sure_winner, table_of, warnings_of
from orchestrator.results.tables import LEAK
from tune_spaces.schema.load import Loaded
from workloads.analyses import analyses_of
from workloads.errors import UserError, nearest
from workloads.registry import method
from workloads.scoring.table import WHOLE

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """A run on disk. Everything is read from its ledger and its score files whenever it is asked for, so a run that is
    still going on can be watched.

    Raises UserError, with the nearest name, where the storage holds no such run.
    """

    def __init__(self, name: str, storage: str | Path = "runs") -> None:
        self.paths, _ = open_run(absolute(storage), name)

    def __repr__(self) -> str:
        return f"Run({self.name!r}, {self.storage!r}): {self.outcome}"

    @property
    def name(self) -> str:
        return self.paths.run

    @property
    def storage(self) -> str:
        """The folder or URI that the run lies in."""
        return self.paths.storage

    @property
    def state(self) -> RunState:
        """What the ledger's events add up to: trials, rungs, shared stages, launches."""
        return open_run(self.storage, self.name)[1]

    @property
    def outcome(self) -> str:
        """How the last launch ended: complete, some_failed, failed or interrupted; running, or dead where its launcher
        is gone without a word."""
        return life_of(self.paths, self.state)

    @property
    def plan(self) -> Plan:
        """What was to be done, on one worker; the estimate is a default speed's, not this machine's."""
        state = self.state
        opened = state.opened
        loaded = Loaded(opened.name, state.space, opened.doc, Path(opened.source))
        known = (loaded, state.space, opened.preset, opened.schedule, self.storage, opened.data_dir)
        plan = plan_of(Request(*known, tracking_uri=opened.tracking_uri, name=self.name, cpus=1))
        return replace(plan, targets=opened.targets, shape=opened.shape)

    @property
    def best(self) -> TrialState:
        """The winner: its point, its config and its metrics. Raises UserError where no trial has reached the end."""
        return sure_winner(self.state)

    @property
    def table(self) -> "pd.DataFrame":
        """AUROC in [0, 1], a column a class (or out set), then their mean; NaN where undefined.

        The rows are indexed by kind (measured, baseline or published, see the report) and name; a name says where test
        labels chose the winner. What the report notes below the table is in ``attrs["notes"]``. Raises UserError where
        no trial has reached the end.
        """
        import pandas as pd

        state = self.state
        table = table_of(self.paths, state, sure_winner(state))
        rows = {(row.kind, f"{row.name} {LEAK}" if row.leak else row.name): cells(table, row) for row in table.rows}
        index = pd.MultiIndex.from_tuples(rows, names=["kind", "name"])
        frame = pd.DataFrame(list(rows.values()), index, table.columns, dtype=float)
        frame.attrs["notes"] = [f"{row.name}: {row.note}" for row in table.rows if row.note] + list(table.notes)
        return frame

    @property
    def trials(self) -> "pd.DataFrame":
        """A row a trial: its point's keys, state, schedule (the trained fraction, in [0, 1]), and the numbers of its
        last rung, such as contrastive, oracle, auroc/<class> (AUROC in [0, 1]). NaN before the first rung."""
        import pandas as pd

        rows = {
            trial.id: {
                **trial.point,
                "state": str(trial.state),
                "schedule": trial.reached / 1000,
                **(trial.last.numbers if trial.rungs else {}),
            }
            for trial in self.state.trials.values()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("trial")

    @property
    def warnings(self) -> list[str]:
        """What a reader of the numbers must know, in sentences. Raises UserError where no trial has reached the end."""
        state = self.state
        best = sure_winner(state)
        return warnings_of(state, best, method_of(state, best))

    @property
    def analyses(self) -> Mapping[str, str]:
        """Analyses that the run's method offers: name -> what it shows."""
        known = analyses_of(method(self.state.space.workload))
        return {name: analysis.title for name, analysis in known.items()}

    @property
    def report(self) -> Any:
        """Path of report.html. Raises UserError where no trial has reached the end, so that there is none yet."""
        path = self.paths.report / PAGE
        if not path.exists():
            raise UserError(f"the run {self.name!r} has no report yet", fix="resume it: the report comes at its end")
        return path

    def scores(self, trial: str | None = None, split: str | None = None, part: str | None = WHOLE) -> pa.Table:
        """The score table: one row an image (see `workloads.scoring.table`); higher = more anomalous.

        trial: its id; the winner where left out. split: "test", "val", or another of the table; all where left out.
        part: of the detector, such as "level_4"; "all" is the whole detector, None every part.
        Raises UserError for an unknown trial, split or part, with the nearest, and for a trial without scores.
        """
        state = self.state
        if trial is not None and trial not in state.trials:
            raise UserError(f"the run {self.name!r} has no trial {trial!r}", details=nearest(trial, state.trials))
        chosen = sure_winner(state) if trial is None else state.trials[trial]
        if not chosen.rungs:
            raise UserError(f"the trial {chosen.id} has not been scored yet", fix="resume the run")
        table = read_table(self.paths.trial(chosen.id).scores(chosen.reached), vouched=self.paths.vouched)
        for column, wanted in (("split", split), ("part", part)):
            if wanted is not None:
                known = table.column(column).unique().to_pylist()
                if wanted not in known:
                    raise UserError(f"the score table has no {column} {wanted!r}", details=nearest(wanted, known))
                table = table.filter(pc.equal(table.column(column), wanted))
        return table
