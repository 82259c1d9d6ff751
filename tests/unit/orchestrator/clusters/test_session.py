"""What a launch leaves of its Ray in the process that started it: nothing."""

import ctypes
import os
import signal
import threading
from contextlib import nullcontext

import pytest

from orchestrator.clusters import session


def test_the_launchers_environment_is_as_before(monkeypatch):
    quiet = "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "mine")
    monkeypatch.delenv(quiet, raising=False)
    monkeypatch.setattr(session, "started_or_joined", lambda *_, **__: nullcontext("ray"))
    before = dict(os.environ)
    with session.ray_session(1):
        assert os.environ[quiet] == "1"
        assert os.environ["RAY_AIR_NEW_OUTPUT"] == "mine", "what the user has set stands"
    assert dict(os.environ) == before


def test_a_polite_stop_interrupts_although_ray_took_it_over_in_whatever_thread(monkeypatch):
    """Ray's core sets a handler of its own, in C."""

    def local_ray(*_):
        ctypes.pythonapi.PyOS_setsig(signal.SIGTERM, ctypes.c_void_p(signal.SIG_IGN))
        return nullcontext()

    def session_of():
        with session.ray_session(1):
            pass

    monkeypatch.setattr(session, "local_ray", local_ray)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        session.heed_signals()
        thread = threading.Thread(target=session_of)
        thread.start()
        thread.join()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
