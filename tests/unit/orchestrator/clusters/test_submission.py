"""A launch handed to a cluster from Python: what is submitted, and the job that it is from here."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

import orchestrator
from orchestrator.clusters import jobs, submission
from orchestrator.clusters.jobs import refuse_passwords
from orchestrator.clusters.submission import find_job
from orchestrator.execution.observer import Observer
from tests.helpers.commands import orchestrate
from workloads.errors import UserError


class Client:
    """A job server that keeps what it is sent."""

    def __init__(self, status="RUNNING"):
        self.status, self.jobs, self.stopped = status, [], []

    def submit_job(self, **job):
        self.jobs.append(SimpleNamespace(**job, status=self.status, start_time=len(self.jobs)))
        return job["submission_id"]

    def list_jobs(self):
        return self.jobs

    def get_job_status(self, job):
        return self.status

    def get_job_logs(self, job):
        return f"output of {job}"

    def stop_job(self, job):
        self.stopped.append(job)
        self.status = "STOPPED"


@pytest.fixture
def client(monkeypatch):
    client = Client()
    monkeypatch.setattr(submission, "connect", lambda address: client)
    monkeypatch.setattr(jobs, "pack", lambda folder, files: None)
    return client


def test_an_executor_is_none_of_its_arguments():
    with pytest.raises(TypeError, match="executor"):
        submit(executor="local")


def submit(**arguments):
    where = {"address": "http://head:8265", "storage": "/shared/runs", "name": "handed", "preset": "smoke"}
    return orchestrator.submit("sweep_digits", **where | arguments)


def test_what_is_submitted_is_the_launch_as_a_command(client):
    job = submit(config={"noise": 0.1, "position": "grid"}, points=3, classes=["3"], slots=4, data_dir="/mnt/data")
    assert (job.run, job.address, job.status) == ("handed", "http://head:8265", "RUNNING")
    (sent,) = client.jobs
    words = sent.entrypoint.split()
    assert words[:5] == ["python", "-m", "orchestrator", "launch", "sweep_digits"]
    pairs = set(pairwise(words))
    expected = {
        ("--preset", "smoke"), ("--points", "3"), ("--class", "3"), ("--set", "noise=0.1"), ("--name", "handed"),
        ("--slots", "4"), ("--storage", "/shared/runs"), ("--data-dir", "/mnt/data"), ("--address", "auto"),
    }  # fmt: skip
    assert expected <= pairs
    assert "--set 'position='\"'\"'grid'\"'\"''" in sent.entrypoint, "text stays text on the other side"


def test_the_plan_is_shown_before_anything_is_sent(client):
    class Watching(Observer):
        def planned(self, plan, request):
            assert (plan.run, client.jobs) == ("handed", [])
            self.seen = True

    observer = Watching()
    submit(observer=observer)
    assert observer.seen
    assert len(client.jobs) == 1


def test_a_job_is_found_again_read_and_stopped_once(client):
    job = submit()
    assert find_job("handed", job.address) == job
    assert job.logs() == f"output of {job.id}"
    assert job.stop() is True
    assert job.stop() is False
    assert client.stopped == [job.id]
    with pytest.raises(UserError, match="handed"):
        find_job("hande", job.address)


def test_a_run_that_goes_on_there_already_is_refused(client):
    submit()
    with pytest.raises(UserError, match="already goes on"):
        submit()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [({"storage": "runs"}, "where on the cluster"), ({"data_dir": "pictures"}, "job's own folder")],
)
def test_folders_of_this_machine_are_refused_before_anything_is_sent(arguments, hint, client):
    with pytest.raises(UserError, match=hint):
        submit(**arguments)
    assert client.jobs == []


@pytest.mark.parametrize(
    "words",
    [
        ["launch", "sweep_digits", "--preset", "smoke", "--name", "handed", "--storage", "/shared/runs"],
        ["resume", "handed", "--storage", "/shared/runs"],
    ],
)
def test_a_verb_writes_the_jobs_output_and_ends_as_it_does(words, client, monkeypatch):
    def follow(_client, job, write):
        write(f"from {job}\n")
        return 3

    monkeypatch.setattr(submission, "follow", follow)
    done = orchestrate(*words, "--address", "http://head:8265")
    (sent,) = client.jobs
    assert done.returncode == 3
    assert f"from {sent.submission_id}" in done.stdout
    assert "logs handed --follow --address http://head:8265" in done.stdout
    assert sent.entrypoint.startswith(f"python -m orchestrator {words[0]} {words[1]}")


def test_logs_and_stop_come_back_to_a_job(client):
    job = submit()
    there = ("handed", "--address", job.address)
    assert orchestrate("logs", *there).stdout == f"output of {job.id}"
    assert "stopped; launching or resuming" in orchestrate("stop", *there).stdout
    assert "had ended already" in orchestrate("stop", *there).stdout


def test_letting_a_job_go_leaves_it_and_says_how_to_come_back(client, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(submission, "follow", interrupt)
    submit()
    done = orchestrate("logs", "handed", "--follow", "--address", "http://head:8265")
    assert done.returncode == 130
    assert "detached; the job goes on" in done.stderr
    assert client.stopped == []


@pytest.mark.parametrize("uri", ["postgresql://me:hunter2@db/mlflow", "https://me:hunter2@mlflow:5000"])
def test_a_tracking_uri_with_a_password_is_handed_to_no_cluster(client, uri):
    """Its dashboard shows a job's command line and its variables, and Ray's logs hold them."""
    with pytest.raises(UserError, match="password would be shown") as refused:
        submit(tracking_uri=uri)
    assert "hunter2" not in str(refused.value)
    assert "MLFLOW_TRACKING_PASSWORD" in refused.value.fix
    assert client.jobs == []
    submit(tracking_uri="http://mlflow:5000")
    assert "--tracking-uri http://mlflow:5000" in client.jobs[0].entrypoint


def test_words_that_only_look_like_passwords_are_handed_on():
    refuse_passwords(["launch", "own.py", "--storage", "s3://bucket/team@lab/runs", "--set", "token_dim=8"])
    with pytest.raises(UserError, match="password would be shown"):
        refuse_passwords(["launch", "own.py", "--tracking-uri", "https://mlflow/?token=hunter2"])
    with pytest.raises(UserError, match="password would be shown"):
        refuse_passwords(["launch", "own.py", "--storage", "s3://me:hunter2@bucket/runs"])
