"""A launch's way through the code does not get longer: its files, and its returns to a file already left.

How it is counted. A small launch runs in this process, on the executor `LocalExecutor`, and a profile function hears
every call of the launching thread from `execution.launch.launch` to its return. The way is the list of the files that
calls enter, in their order, without:

* files that are not of `orchestrator` or `tune_spaces`; those of `workloads` are counted apart;
* what lies below a call into `execution/work` (the inside of a task: a worker's business, not the launcher's), below
  `load_splits` (the loaders) and below an import;
* comprehensions, generator expressions and lambdas, which are lines of their file, and a generator that goes on;
* properties, which read a value, and templates;
* a call of the same function from the same line a second time: a loop over trials is one step of the way.

A stay is a run of such calls into one file. A return is a stay in a file that was entered before and left since, so
returns are stays less files. Before the rebuild, following calls by reading, there were 39 files and 100 returns. The
aim is fewer than 10 returns, which is reached, and about 20 files, which is not.
"""

import inspect
import sys
from functools import cached_property
from itertools import groupby
from pathlib import Path

import pytest

from orchestrator.execution.launch import launch
from orchestrator.execution.local import LocalExecutor
from orchestrator.record.state import Outcome
from tests.helpers.launches import request_for

ROOT = Path(__file__).parents[2]
LAUNCHER = ("orchestrator/", "tune_spaces/")
TASKS = "orchestrator/execution/work"


class Way:
    """The files that calls enter, in their order."""

    def __init__(self):
        self.sites, self.files, self.hidden = set(), [], None

    def __call__(self, frame, event, _argument):
        if event == "return" and frame is self.hidden:
            self.hidden = None
        if event != "call" or self.hidden is not None:
            return
        code, file = frame.f_code, file_of(frame)
        if code.co_name == "<module>" or (file and file.startswith(TASKS)):
            self.hidden = frame
        elif file and not code.co_name.startswith("<") and not is_property(frame):
            site = (*caller_of(frame), code)
            if site not in self.sites and not goes_on(frame):
                self.sites.add(site)
                self.files.append(file)
            if code.co_name == "load_splits":
                self.hidden = frame

    def within(self, *packages):
        """The stays in files of these packages, in their order."""
        return [file for file, _ in groupby(file for file in self.files if file.startswith(packages))]


def file_of(frame):
    """The file of a frame relative to the repository; None where it is not of ours."""
    name = frame.f_code.co_filename
    return name.removeprefix(f"{ROOT}/") if name.startswith(f"{ROOT}/") and name.endswith(".py") else None


def caller_of(frame):
    """(file, line) of the nearest caller of ours."""
    caller = frame.f_back
    while caller is not None and file_of(caller) is None:
        caller = caller.f_back
    return (caller.f_code.co_filename, caller.f_lineno) if caller else ("", 0)


def is_property(frame):
    """Whether the frame computes a property."""
    owner = type(frame.f_locals.get("self"))
    return isinstance(inspect.getattr_static(owner, frame.f_code.co_name, None), property | cached_property)


def goes_on(frame):
    """Whether a generator is resumed, rather than a function called."""
    return bool(frame.f_code.co_flags & inspect.CO_GENERATOR) and frame.f_lasti > 10


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    request = request_for(tmp_path_factory.mktemp("storage"), executor="local", name="way", classes=["3"], points=2)
    executor, way = LocalExecutor(), Way()
    sys.setprofile(way)
    try:
        finished = launch(request, executor=executor)
    finally:
        sys.setprofile(None)
    assert finished.outcome == Outcome.COMPLETE
    return way


def test_a_launch_passes_through_few_files(way):
    stays = way.within(*LAUNCHER)
    assert len(set(stays)) <= 28, "\n".join(stays)


def test_a_launch_seldom_returns_to_a_file_that_it_has_left(way):
    stays = way.within(*LAUNCHER)
    assert len(stays) - len(set(stays)) <= 7, "\n".join(stays)


def test_the_sciences_part_of_the_way_is_short(way):
    assert len(set(way.within("workloads/"))) <= 15
