"""What a launch leaves of its Ray in the process that started it: nothing."""

import os
from contextlib import nullcontext

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
