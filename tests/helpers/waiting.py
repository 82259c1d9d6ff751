"""A method that trains as MLSAD does and waits at every step, as for an accelerator: its time is not the CPU's.

So nodes on one machine are as independent of each other as nodes on several.
"""

import time

from workloads.mlsad.method import MLSAD
from workloads.registry import WORKLOADS

STEP_S = 0.5


class Waiting(MLSAD):
    def learner(self, *given):
        return waiting(super().learner(*given))


def waiting(learner):
    step = learner.step

    def slowed(number, images):
        time.sleep(STEP_S)
        return step(number, images)

    learner.step = slowed
    return learner


def register():
    """Also in Ray's workers, as their set-up hook."""
    WORKLOADS["waiting"] = Waiting
