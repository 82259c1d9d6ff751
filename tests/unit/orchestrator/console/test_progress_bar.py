"""What a long piece of work says of itself where there is no terminal."""

import time

import pytest
from rich.console import Console

from orchestrator.console.progress_bar import shown_progress


def test_lines_tell_the_rate_and_the_time_left_and_what_an_earlier_command_did_is_not_in_the_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    out = Console(record=True, width=200, color_system=None, file=open("/dev/null", "w"))  # noqa: SIM115
    with shown_progress(out, "shards") as seen:
        for at, done in ((100.0, 40), (110.0, 50), (112.0, 52), (160.0, 100)):
            now[0] = at
            seen(done, 100, 1000 * done, 100_000)
    said = [line.rstrip() for line in out.export_text().splitlines() if line.strip()]
    assert said == [
        "shards 40/100, 40,000 images, 0 images/s",
        "shards 50/100, 50,000 images, 1,000 images/s, 50 s left",
        "shards 100/100, 100,000 images, 1,000 images/s",
    ]
