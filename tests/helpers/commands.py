"""The command line as a user types it: in this process, or in one of its own."""

import contextlib
import io
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
