"""A launch handed to a cluster: its launcher runs there as a Ray job, so it outlives whoever submitted it.

What travels is the code alone. Data and results are where `--storage` and `--data-dir` say, seen from the cluster.
"""

import asyncio
import re
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from orchestrator.clusters.code_package import pack
from orchestrator.clusters.connection import connect
from orchestrator.record.provenance import this_python, without_secrets
from workloads.errors import Kind, UserError, nearest

STOP_WAIT_S = 60  # a launcher that is to stop closes its books first; Ray's own three seconds are too short for that
STARTING_S = 60
GONE_S = 300  # without an answer, after which a cluster counts as gone; a head that is replaced is back before
INTERRUPTED, REFUSED = 130, 4  # exit codes of a launcher: stopped by the user, and the largest of its own others
TRACKING_URI = "ORCHESTRATOR_TRACKING_URI"
CREDENTIALS = re.compile(r"\w://[^/\s@]*:[^/\s@]*@")
"""Of a URI: user:password@ before its host."""
"""Variable that a launcher reads where the command line names none."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
FLAGS = {"classes": "--class", "target": "--class"}  # option -> its name on the command line, where that is another


def option_words(options: Mapping[str, Any]) -> list[str]:
    """The command line that would give these options, by their names in Python; None and False need no words."""
    words: list[str] = []
    for name, value in options.items():
        flag = FLAGS.get(name, f"--{name.replace('_', '-')}")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [word for item in (value if isinstance(value, list) else [value]) for word in (flag, str(item))]
    return words


def submit(client: Any, words: Sequence[str], run: str, users: Sequence[Path] = ()) -> str:
    """Start `python -m orchestrator WORDS` on the cluster; the job's id.

    Raises UserError where a job of that run is still going on (exit 4), and for words with a password in them.
    """
    refuse_passwords(words)
    if alive := [job for job in jobs_of(client, run) if job.status not in ENDED]:
        headline = f"the run {run!r} already goes on there, as the job {alive[-1].submission_id}"
        fix = f"watch it with `python -m orchestrator logs {run} --follow --address ...`, or stop it with `stop`"
        raise UserError(headline, fix=fix, kind=Kind.REFUSED)
    with tempfile.TemporaryDirectory() as folder:
        pack(Path(folder), users)
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S), "PYTHONUNBUFFERED": "1"}
        job = {
            "entrypoint": shlex.join(["python", "-m", "orchestrator", *words]),
            "runtime_env": {"working_dir": folder, "env_vars": variables},
            "submission_id": f"{run}-{uuid4().hex[:6]}",
            "metadata": {"run": run},
        }
        return once_up(lambda: client.submit_job(**job))


def refuse_passwords(words: Sequence[str]) -> None:
    """Raises UserError (exit 2) for a tracking URI with a secret in it, and for any URI with user:password@: a job's
    command line and its variables are shown by the cluster's dashboard and written into Ray's logs."""
    uris = {after for word, after in pairwise(words) if word == "--tracking-uri"}
    secrets = (word for word in words if CREDENTIALS.search(word) or (word in uris and without_secrets(word) != word))
    if secret := next(secrets, None):
        raise UserError(
            f"the password would be shown by the cluster's dashboard: {without_secrets(secret)}",
            fix="give the tracking URI without it; the head's environment is to have MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, for a database PGPASSWORD (on Kubernetes from a Secret), or the whole URI as "
            f"{TRACKING_URI}, and then no --tracking-uri is needed",
        )


def once_up(submit_job: Callable[[], str]) -> str:
    """Submit a job, patiently: a cluster that has just started answers before any of its nodes takes jobs."""
    deadline = time.monotonic() + STARTING_S
    while True:
        try:
            return submit_job()
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(1)


def jobs_of(client: Any, run: str | None = None) -> list[Any]:
    """Jobs that were submitted from here or elsewhere, the newest last; those of one run, by its name or a job's id."""
    jobs = [job for job in client.list_jobs() if job.submission_id and "run" in (job.metadata or {})]
    if run is not None:
        jobs = [job for job in jobs if run in (job.metadata["run"], job.submission_id)]
    return sorted(jobs, key=lambda job: job.start_time or 0)


def job_of(client: Any, run: str) -> str:
    """The newest job of a run. Raises UserError (exit 2) where the cluster knows none."""
    if jobs := jobs_of(client, run):
        return str(jobs[-1].submission_id)
    known = sorted({job.metadata["run"] for job in jobs_of(client)})
    hint = nearest(run, known) if known else "it has none of any run"
    raise UserError(f"the cluster has no job of {run!r}", details=hint)


def follow(client: Any, job: str, write: Callable[[str], None]) -> int:
    """Write a job's output from its beginning until it ends, over lost connections; the exit code of its launcher.

    Ray streams a job's output from its first character each time; after a lost connection what was written is skipped.
    Raises UserError where the cluster gives no answer for minutes.
    """
    import aiohttp

    written, silent = 0, 0.0  # since when
    while True:
        seen = 0
        # RuntimeError: Ray's word for a socket that closed; whether the cluster is still there is asked below
        with suppress(OSError, RuntimeError, aiohttp.ClientError):
            for text in chunks(client, job):
                write(text[max(0, written - seen) :])
                seen += len(text)
                written, silent = max(written, seen), 0.0
        try:
            info = client.get_job_info(job)
        except (OSError, RuntimeError) as error:  # the head may be coming back
            silent = silent or time.monotonic()
            if time.monotonic() - silent > GONE_S:
                raise gone(job, error) from None
        else:
            if info.status in ENDED:
                return ended(info)
            silent = 0.0
        time.sleep(2)


def gone(job: str, error: Exception) -> UserError:
    """What to say of a job whose cluster is silent."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(
        f"the cluster has not answered about the job {job} for {GONE_S / 60:.0f} minutes",
        details=lines[0][:300],
        fix="if it still runs, the job goes on: mend the way there (`ray dashboard FILE`, `kubectl port-forward`) and "
        "give the same `logs --follow`; if it is gone, launch the run again on another with the same --storage",
        kind=Kind.ENVIRONMENT,
    )


def halt(client: Any, job: str) -> None:
    """Tell a job to stop and wait until it has. Raises UserError where it has not within two minutes."""
    client.stop_job(job)
    deadline = time.monotonic() + 2 * STOP_WAIT_S
    while client.get_job_status(job) not in ENDED:
        if time.monotonic() > deadline:
            fix = "look at `cluster status`; the same command tries again"
            raise UserError(f"the job {job} does not end", fix=fix, kind=Kind.ENVIRONMENT)
        time.sleep(1)


def chunks(client: Any, job: str) -> Iterator[str]:
    """What Ray's client gives as an asynchronous iterator, as a plain one that Ctrl-C ends like any loop.

    Raises TimeoutError where nothing comes for long: the job may be quiet, or its machine gone without a word.
    """
    with asyncio.Runner() as runner:
        stream = client.tail_job_logs(job)

        async def following() -> str | None:
            async with asyncio.timeout(GONE_S):
                return await anext(stream, None)

        while (text := runner.run(following())) is not None:
            yield text


def ended(info: Any) -> int:
    """The exit code of a job's launcher. Raises UserError where its launcher never came to one of its own."""
    if info.status == "SUCCEEDED":
        return 0
    if info.status == "STOPPED":
        return INTERRUPTED
    if info.driver_exit_code is not None and 0 <= info.driver_exit_code <= REFUSED:
        return int(info.driver_exit_code)
    lines = (info.message or "no reason given").strip().splitlines()
    raise UserError("the job failed", details=lines[-1][:500], kind=Kind.ENVIRONMENT)


def words_about(job: str, run: str, address: str) -> list[str]:
    """How to come back to a job that goes on without us."""
    command = f"{this_python()} -m orchestrator"
    return [
        f"job     {job}, on {address}; it goes on without this terminal",
        f"watch   {command} logs {run} --follow --address {address}",
        f"status  {command} cluster status --address {address}",
        f"stop    {command} stop {run} --address {address}",
    ]


def describe(address: str) -> list[str]:
    """A cluster in lines: its nodes with what they have, then its jobs. Raises UserError as `connect` does."""
    client = connect(address)
    from ray.util.state import list_nodes

    lines = []
    for node in list_nodes(address=client.get_address(), filters=[("state", "=", "ALIVE")]):
        has = node.resources_total or {}
        gpus = [name.removeprefix("accelerator_type:") for name in has if name.startswith("accelerator_type:")]
        memory = has.get("memory", 0) / 2**30
        what = f"{has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs {' '.join(gpus)}".rstrip()
        lines.append(f"node  {node.node_ip:15} {'head' if node.is_head_node else 'worker':7} {what}, {memory:.0f} GiB")
    jobs = [f"job   {job.submission_id}  {job.status}  {job.message or ''}".rstrip() for job in jobs_of(client)]
    return lines + jobs
