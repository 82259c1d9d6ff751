"""Work that is shared between trials: trained once, and its artifact left under its content hash."""

import json
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass

from upath import UPath

from orchestrator.execution.executor import End, RungReport
from orchestrator.execution.work.worker import Artifacts, Share, UnitWork, Worker, method_of, view_of
from orchestrator.planning.early_stopping import Decision
from workloads.files import alone, is_whole, read_checked, write_checked
from workloads.learner import Stage
from workloads.training.batches import unit_batches
from workloads.training.checkpoint import is_intact, save_state
from workloads.training.loop import Progress, discard, resume, save_progress, train

HISTORY = "history.json"


def is_made(folder: UPath) -> bool:
    """Whether a stage is there as it was left: one that was damaged since is made again."""
    return is_intact(folder) and is_whole(folder / HISTORY, vouched=True)


@dataclass(frozen=True)
class StageWork:
    """One stage. folder: where its artifact goes. threads: of the CPU, for each worker."""

    method: str
    stage: UnitWork
    folder: str
    share: Share = "units"
    threads: int = 1

    def run(self, worker: Worker) -> Generator[RungReport, Decision | None, End]:
        """Train the stage unless it is there, for another run may have made it meanwhile. It has no rungs.

        Only the worker that writes knows what training took.
        """
        yield from ()
        folder, writes = UPath(self.folder), worker.rank < worker.writers(self.share)
        with alone(folder) if writes else nullcontext():
            if self.share == "batches":
                worker.barrier()  # only the first worker waits for other runs; the rest waits for it
            if not is_made(folder):
                self._train(worker, folder, writes)
            return self.end() if writes else End()

    def end(self) -> End:
        """What training took, of a stage that is there."""
        facts = json.loads(read_checked(UPath(self.folder) / HISTORY))
        return End(facts["seconds"], facts["steps"])

    def _train(self, worker: Worker, folder: UPath, writes: bool) -> None:
        unit, parallel = self.stage.unit, worker.parallel(self.share)
        method = method_of(self.method, self.stage.config)
        view = view_of(worker, self.method, self.stage, test=False)
        artifacts = Artifacts(worker.device).read({str(n): self.stage.artifacts[str(n)] for n in method.needs(unit)})
        learner = method.learner(unit, view, artifacts, parallel)
        partial = folder.with_name(f"{folder.name}.progress")
        progress = resume(partial, learner) or Progress()
        batches = unit_batches(unit, self.stage.config["seed"], view, learner.batch_size, parallel)

        def save() -> None:
            if writes:
                save_progress(partial, learner, progress)

        def show(step: int) -> None:
            worker.progress(step, learner.total_steps, f"{unit} step {step}/{learner.total_steps}")

        train(learner, progress, learner.total_steps, batches, save, show, str(unit))
        if not writes:
            return
        facts = {"unit": str(unit), "steps": learner.total_steps, "seconds": round(progress.seconds, 1)}
        write_checked(folder / HISTORY, json.dumps(facts | {"history": progress.history}, indent=1).encode())
        save_state(folder, learner.artifact() if isinstance(learner, Stage) else learner.state())
        discard(partial)
