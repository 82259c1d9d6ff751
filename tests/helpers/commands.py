"""The command line as a user types it: in this process, in one of its own, or in one that has its imports already."""

import contextlib
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from unittest import mock

DEAD_PROXY = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
"""A proxy that refuses keeps any download from the network."""


def orchestrate(*words, cwd=None, **env):
    """The command run in this process: its exit code and all that it printed."""
    from orchestrator.cli import main

    argv = ["orchestrator", *map(str, words)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", argv))
        stack.enter_context(mock.patch.dict(os.environ, DEAD_PROXY | env))
        stack.enter_context(contextlib.chdir(cwd or os.getcwd()))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = exit_code(main)
    return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())


def exit_code(function):
    try:
        function()
    except SystemExit as end:
        return end.code or 0
    return 0


def orchestrate_apart(*words, cwd=None, **env):
    """The command run in a process of its own, for exit codes and what only a fresh interpreter shows."""
    command = [sys.executable, "-m", "orchestrator", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=os.environ | DEAD_PROXY | env, timeout=600
    )


class Forked:
    """The command in a process forked from one that has what a launch imports, which takes 6 CPU-seconds: to be killed,
    or run in an environment of its own. What it prints is added to a file. Of `subprocess.Popen` it has these members.
    """

    def __init__(self, *words, printed, cwd=None, env=None):
        multiprocessing.set_forkserver_preload(["tests.helpers.ahead"])
        self.printed = printed
        printed.touch()
        given = (list(map(str, words)), str(printed), str(cwd or os.getcwd()), dict(env or os.environ | DEAD_PROXY))
        self.process = multiprocessing.get_context("forkserver").Process(target=command, args=given)
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        return self.process.exitcode

    def wait(self, timeout=600):
        self.process.join(timeout)
        if self.process.exitcode is None:
            os.killpg(self.pid, signal.SIGKILL)  # the process is its session's first: nothing of it stays
            self.process.join()
            raise AssertionError(f"it does not end\n{self.printed.read_text()}")
        return self.process.exitcode


def command(words, printed, cwd, env):
    """Inside the process."""
    from orchestrator.cli import main

    os.setsid()
    output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["orchestrator", *words]
    main()


def orchestrate_forked(*words, printed, cwd=None, **env):
    """Such a process, to its end: its exit code and all that it printed."""
    before = printed.stat().st_size if printed.exists() else 0
    code = Forked(*words, printed=printed, cwd=cwd, env=os.environ | DEAD_PROXY | env).wait()
    return subprocess.CompletedProcess(words, code, printed.read_bytes()[before:].decode(), "")


def kill_once(process, enough, seconds=200):
    """Kill with SIGKILL a process that drives a Ray, once `enough()` of its work is there."""
    deadline = time.monotonic() + seconds
    while not enough():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2)  # Ray's processes end with their driver
