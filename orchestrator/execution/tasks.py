"""From a plan and its ledger to the tasks that remain."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.execution.executor import Claim, Listener, Task
from orchestrator.execution.work.analysis import AnalysisWork
from orchestrator.execution.work.baseline import BaselineWork
from orchestrator.execution.work.stage import StageWork
from orchestrator.execution.work.trial import TrialJob, TrialWork
from orchestrator.execution.work.worker import End, RungReport
from orchestrator.planning.early_stopping import Decision
from orchestrator.planning.plan import Plan, StagePlan, TrialPlan, trial_macs
from orchestrator.record.paths import RunPaths, TrialPaths
from orchestrator.record.state import DONE, RunState
from orchestrator.results.baselines import table_path
from orchestrator.results.winner import winner
from workloads.data.splits import Splits
from workloads.scoring.baselines import BASELINES
from workloads.training.checkpoint import is_complete
