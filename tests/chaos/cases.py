"""Cases of the harness: what is done to a run, and what must be so afterwards. A case is a function of its seed."""

import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.record.ledger import fold, read_events
from orchestrator.record.paths import RunPaths
from orchestrator.record.state import State
from tests.chaos.disk import ERRORS, KILLED, KILLS, SIGNALS, Fault, Moment, flip, kind_of
from tests.chaos.invariants import Contents, contents, differences, redone
from tests.chaos.method import STEPS
from tests.chaos.tracking import Away
from tests.chaos.world import NAME, Circumstances, Ended, Place, World, warm

INTERRUPTED, ENVIRONMENT, REFUSED = 130, 3, 4
DAMAGES = ("bit flipped", "cut", "gone")
HOUR = 3600.0
TRIALS = 4
KILLED_AT = 16
LATE = ("stage's history", "stage's manifest", "share", "scores", "rung", "checkpoint", "baseline", "finding", "report")
"""Moments at which a launch is killed before a case begins, and the kinds of files that these are about."""
OTHER = "other"
"""Name of a second run."""


@dataclass
class Verdict:
    """fault, moment: what was done, and when. redone: training steps taken again. wrong: what does not hold."""

    fault: str
    moment: str
    redone: int = 0
    wrong: list[str] = field(default_factory=list)
    seed: int = 0

    def expect(self, true: bool, text: str) -> None:
        if not true:
            self.wrong.append(text)


@dataclass(frozen=True)
class Stage:
    """What all cases share. undisturbed: contents of a run that nothing has happened to. moments: calls to the disk of
    its launch, by operation and kind of file, with how often each is made; a case takes its moment from them. every:
    all of these, where `moments` are some."""

    world: World
    undisturbed: Contents
    moments: Mapping[tuple[str, str], int]
    every: Mapping[tuple[str, str], int]

    def ended(self, place: Place) -> None:
        """Begin a case with a run that has come to its end."""
        place.copied(self.world.place("undisturbed"))

    def killed(self, place: Place, rng: random.Random) -> None:
        """Begin a case with a launch that was killed at one of a few moments of its way."""
        number = rng.randrange(KILLED_AT)
        template = self.world.place(f"template {number}")
        if not template.folder.exists():
            moments = [
                Moment("rename", kind, n)
                for (what, kind), count in sorted(self.every.items())
                for n in range(count)
                if what == "rename" and kind in LATE
            ]
            template.launch(what=Circumstances(Fault("killed", random.Random(number).choice(moments))))
        place.copied(template)

    @classmethod
    def made(cls, folder: Path) -> "Stage":
        world = World.made(folder)
        place = world.place("undisturbed")
        ended = place.launch()
        assert ended.code == 0, ended.printed
        assert "MLflow was not reached" not in ended.printed, ended.printed
        warm(ended.modules)
        moments: dict[tuple[str, str], int] = {}
        for call in ended.seen:
            moments[call] = moments.get(call, 0) + 1
        return cls(world, contents(place), moments, moments)

    def moment(self, rng: random.Random, number: int, operation: str = "", fault: str = "") -> Moment:
        """Every operation, or that one, on every kind of file takes its turn, in another order for every fault."""
        keys = sorted(key for key in self.moments if operation in ("", key[0]))
        random.Random(f"{fault} {len(keys)}").shuffle(keys)
        key = keys[number % len(keys)]
        return Moment(*key, rng.randrange(self.moments[key]))


def at_a_moment(what: str, stage: Stage, place: Place, rng: random.Random, number: int, **more: Any) -> Verdict:
    """A fault at a moment of a launch, or of the launch that takes up a killed one; then it is taken up again."""
    resuming = number % 3 == 2 and what != "bit flipped"
    if resuming:
        stage.killed(place, rng)
        moment: Moment | int = rng.randrange(120)
    else:
        moment = stage.moment(rng, number, "rename" if what == "bit flipped" else "", what)
    before = launches(place)
    ended = place.launch(what=Circumstances(Fault(what, moment), **more))
    verdict = Verdict(what, f"{'resume: ' if resuming else ''}{ended.happened or 'after the end'}")
    if what == "storage gone":
        bring_back(place, verdict, ended)
    judge_end(verdict, what, ended)
    if what == "bit flipped" and ended.code == 1:  # a trial that failed meets others when it goes on
        finish(verdict, stage, place, most=4 * STEPS, in_order=False)
        return verdict
    if what in SIGNALS or what in ERRORS:
        judge_books(verdict, place, ended, before)
    finish(verdict, stage, place, most=2 * STEPS if resuming else STEPS, **more)
    return verdict


VERBS = (
    ["report", NAME],
    ["status", NAME],
    ["predict", NAME, "{images}/test/good", "--false-alarms", "0.4", "--out", "{storage}/../out/predictions.csv"],
    ["runs", "ls"],
    ["runs", "show", NAME],
    ["runs", "gc", "--yes"],
    ["runs", "repair", NAME, "--yes"],
    ["runs", "rm", NAME, "--yes"],
    ["status", NAME, "--json"],
)
"""Verbs of a run that has ended. `export` and `data prepare` need programs that this harness has not."""


def at_a_verb(what: str, stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """A fault at a call of a verb of a run that has ended; the run is then as it was, or made again."""
    words = VERBS[number % len(VERBS)]
    places = {"images": place.world.images, "storage": place.storage}
    command = [*(word.format(**places) for word in words), "--storage", str(place.storage)]
    for most in (60, 12, 2):
        stage.ended(place)
        ended = place.verb(command, Circumstances(Fault(what, rng.randrange(most)))).wait()
        if ended.happened:
            break
    verb = " ".join(words[: 1 + (words[0] == "runs")])
    verdict = Verdict(f"{what}, at a verb", f"{verb}: {ended.happened or 'after the end'}")
    if what == "storage gone":
        bring_back(place, verdict, ended)
    judge_end(verdict, what, ended)
    if verb in ("runs rm", "runs gc"):  # to the end
        again = place.verb(command).wait()
        verdict.expect(again.code in (0, 2), f"again it ends with {again.code}: {again.printed[-800:]}")
    if verb == "runs rm":
        verdict.expect(not (place.storage / NAME).exists(), "a run that was removed is there")
    finish(verdict, stage, place, most=TRIALS * STEPS if verb == "runs rm" else 0)
    verdict.redone = 0 if verb == "runs rm" else verdict.redone
    if verb == "runs gc":
        verdict.wrong = without_losers(stage, verdict.wrong)
    return verdict


def without_losers(stage: Stage, wrong: list[str]) -> list[str]:
    """Weights that have lost are read by nobody."""
    return [text for text in wrong if "/units/" not in text or str(stage.undisturbed.best) in text]


def judge_end(verdict: Verdict, what: str, ended: Ended) -> None:
    """Every end is planned: it has one of our exit codes and says in words what it is."""
    expected = {0, KILLED} if what in KILLS else {0, INTERRUPTED} if what in SIGNALS else {0, 1, ENVIRONMENT}
    expected |= {2} if what == "storage gone" else set()  # there is no such run then
    verdict.expect(ended.code in expected, f"exit code {ended.code}: {ended.printed[-1500:]}")
    if what in ERRORS or what == "storage gone":
        unplanned = [line for line in ended.printed.splitlines() if "Error:" in line and not line.startswith("warning")]
        verdict.expect(ended.code == 0 or not unplanned, f"unplanned: {unplanned} (exit {ended.code})")
    if ended.code == ENVIRONMENT:
        verdict.expect(
            "where:" in ended.printed and "fix:" in ended.printed, f"no place or fix: {ended.printed[-800:]}"
        )


def launches(place: Place) -> int:
    """Of a run so far."""
    paths = RunPaths(str(place.storage), NAME)
    return fold(read_events(paths)).launches if paths.ledger.exists() else 0


def judge_books(verdict: Verdict, place: Place, ended: Ended, before: int) -> None:
    """Whoever has closed the launch has left no trial running. before: launches until then."""
    if ended.code == 0 or verdict.fault in ERRORS or launches(place) == before:
        return
    paths = RunPaths(str(place.storage), NAME)
    state = fold(read_events(paths))
    running = [trial.id for trial in state.trials.values() if trial.state == State.RUNNING]
    # one that a signal ends before it has begun leaves it open: the next look finds that its heart beats no more
    verdict.expect(state.closed is None or not running, f"closed, and left running: {running}")


def bring_back(place: Place, verdict: Verdict, ended: Ended) -> None:
    """A storage that was away is there again; what was written in its place meanwhile holds no ledger, unless the run
    began there."""
    gone = Path(f"{place.storage}.gone")
    if gone.exists() and ended.code == 0 and not list(gone.rglob("*.jsonl")):
        shutil.rmtree(gone)
    if gone.exists():
        ledgers = list(place.storage.rglob("*.jsonl")) if place.storage.exists() else []
        verdict.expect(not ledgers, f"a new ledger without its head: {ledgers}")
        shutil.rmtree(place.storage, ignore_errors=True)
        gone.rename(place.storage)


def two_launchers(stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """Two launches of one run at once: one of them is refused, or comes when the other has ended."""
    kill = number % 2 == 1
    moment = stage.moment(rng, number, fault="two")
    verdict = Verdict("two launchers", f"one killed at {moment.operation} {moment.kind}" if kill else "at once")
    children = [
        place.begin(NAME, Circumstances(Fault("killed", moment) if kill else None), anew=True),
        place.begin(NAME, Circumstances(), anew=True),
    ]
    codes = {child.wait().code for child in children}
    verdict.expect(codes <= {0, REFUSED, KILLED}, f"exit codes {codes}")
    finish(verdict, stage, place, most=2 * STEPS)
    return verdict


def sharing(stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """Two runs at once that share images, stages and baselines; one of them may be killed."""
    kill = number % 2 == 1
    moment = stage.moment(rng, number, fault="two")
    verdict = Verdict("two runs that share", f"one killed at {moment.operation} {moment.kind}" if kill else "at once")
    first = place.begin(NAME, Circumstances(Fault("killed", moment) if kill else None))
    second = place.begin(OTHER, Circumstances())
    codes = [first.wait().code, second.wait().code]
    verdict.expect(codes[0] in (0, KILLED) and codes[1] == 0, f"exit codes {codes}")
    whole = TRIALS * STEPS  # which are each run's
    finish(verdict, stage, place, most=whole + 2 * STEPS)
    verdict.redone = max(0, verdict.redone - whole)
    verdict.expect(verdict.redone <= STEPS, f"{verdict.redone} steps of stages were taken again")
    return verdict


def server_away(how: str, stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """MLflow is away for some calls, or for good; the launch does not wait for it."""
    away = Away(how, 1 + rng.randrange(60), rng.choice((1, 3, 10**6)))
    verdict = Verdict(f"MLflow {how}", f"call {away.first // 10 * 10} to {away.first // 10 * 10 + 9}")
    ended = place.launch(what=Circumstances(away=away))
    verdict.expect(ended.code == 0, f"exit code {ended.code}: {ended.printed[-800:]}")
    finish(verdict, stage, place, most=0)
    return verdict


def clock_back(stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """A launch is killed, and the next one's clock is an hour behind, or ahead."""
    hours = rng.choice((-HOUR, HOUR))
    stage.killed(place, rng)
    verbs = (["runs", "ls"], ["status", NAME], ["runs", "gc", "--yes"])
    verdict = Verdict("clock an hour off", f"{'back' if hours < 0 else 'ahead'}, {' '.join(verbs[number % 3][:2])}")
    listed = place.verb([*verbs[number % 3], "--storage", str(place.storage)], Circumstances(clock=hours)).wait()
    verdict.expect(listed.code == 0, f"it ends with {listed.code}: {listed.printed[-800:]}")
    finish(verdict, stage, place, most=STEPS, clock=hours)
    return verdict


def few_files(stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """A low limit of open files."""
    files = 1 + number % 12
    verdict = Verdict("few open files", f"{files} more")
    ended = place.launch(what=Circumstances(files=files))
    judge_end(verdict, "too many open files", ended)
    finish(verdict, stage, place, most=STEPS)
    return verdict


def worker_dies(stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """A training step raises; the task is tried again within the launch."""
    step = 1 + number % (6 * STEPS)
    verdict = Verdict("worker dies", f"step {step}")
    ended = place.launch(what=Circumstances(fails=step))
    verdict.expect(ended.code == 0, f"exit code {ended.code}: {ended.printed[-800:]}")
    judge_whole(verdict, stage, place, most=STEPS)
    return verdict


def damaged(how: str, stage: Stage, place: Place, rng: random.Random, number: int) -> Verdict:
    """A file of a run, one that has ended or was killed, is not as it was written; the run is then taken up again."""
    over = rng.random() < 0.5
    stage.ended(place) if over else stage.killed(place, rng)
    kinds: dict[str, list[Path]] = {}
    for file in sorted(place.storage.rglob("*")):
        kind = kind_of(str(file), str(place.storage))
        if file.is_file() and kind not in PASSED_OVER and not file.name.endswith(".partial") and file.stat().st_size:
            kinds.setdefault(kind, []).append(file)
    names = sorted(kinds)
    random.Random(f"{how} {len(names)}").shuffle(names)
    kind = names[number % len(names)]
    file = rng.choice(kinds[kind])
    verdict = Verdict(f"file {how}", f"{kind}, {'at the end' if over else 'half way'}")
    if over and "rung-0500" in file.name:  # nobody reads of a rung that was passed
        file = file.with_name(file.name.replace("0500", "1000"))
    damage(file, how, rng)
    finish_damaged(verdict, stage, place, kind, over=over)
    return verdict


PASSED_OVER = ("lock", "heartbeat", "space", "report", "rates", "rates's checksum")
"""Kinds of files on which no number hangs."""


def damage(file: Path, how: str, rng: random.Random) -> None:
    match how:
        case "bit flipped":
            flip(str(file), rng.random())
        case "cut":
            content = file.read_bytes()
            file.write_bytes(content[: rng.randrange(len(content))])
        case _:
            file.unlink()


def finish_damaged(verdict: Verdict, stage: Stage, place: Place, kind: str, *, over: bool) -> None:
    """A damaged ledger is named and mended by `runs repair`; everything else is made again."""
    if kind == "ledger":
        repair_ledger(verdict, place)
    reported = place.verb(["report", NAME, "--storage", str(place.storage)]).wait()
    verdict.expect(
        reported.code in (0, 1, 2, ENVIRONMENT) and "Error:" not in reported.printed,
        f"report: {reported.printed[-800:]}",
    )
    if kind.startswith("stage"):  # made again by whoever needs it
        other = place.launch(OTHER)
        verdict.expect(other.code == 0, f"another run ends with {other.code}: {other.printed[-800:]}")
    whole = TRIALS * STEPS if kind.startswith("stage") else 0  # of the other run's trials
    finish(verdict, stage, place, most=whole + 4 * STEPS)
    verdict.redone = max(0, verdict.redone - whole)
    if kind.startswith("checkpoint"):  # weights that have lost are read by nobody
        verdict.wrong = without_losers(stage, verdict.wrong)


def repair_ledger(verdict: Verdict, place: Place) -> None:
    """What `resume` says of a damaged ledger is followed; where its first event is gone, the run is launched anew."""
    ended = place.launch()
    verdict.expect("Error:" not in ended.printed, f"resume says {ended.printed[-800:]}")
    if ended.code == ENVIRONMENT and "runs repair" in ended.printed:
        ended = place.verb(["runs", "repair", NAME, "--storage", str(place.storage), "--yes"]).wait()
        verdict.expect(ended.code in (0, 2), f"repair ends with {ended.code}: {ended.printed[-800:]}")
    if ended.code != 0 and "launch it again" in ended.printed:
        shutil.move(place.storage / NAME / "ledger", place.folder / "ledger of before")
    else:
        verdict.expect(ended.code == 0, f"resume says {ended.printed[-800:]}")


def finish(verdict: Verdict, stage: Stage, place: Place, most: int, *, in_order: bool = True, **more: Any) -> None:
    """Take the run up again: it ends as if nothing had been. most: steps that may be taken again. in_order: whether
    the trials have reached their rungs in the order of the plan, so that the same are stopped."""
    ended = place.launch(what=Circumstances(**more))
    verdict.expect(ended.code == 0, f"resume ends with {ended.code}: {ended.printed[-1500:]}")
    judge_whole(verdict, stage, place, most, in_order=in_order)


def judge_whole(
    verdict: Verdict, stage: Stage, place: Place, most: int, run: str = NAME, *, in_order: bool = True
) -> None:
    try:
        there = contents(place, run)
    except Exception as error:  # of files that cannot be read
        verdict.wrong.append(f"unreadable: {error!r}")
        return
    verdict.wrong += differences(there, stage.undisturbed, in_order=in_order)
    verdict.redone = redone(place)
    verdict.expect(verdict.redone <= most, f"{verdict.redone} steps were taken again")
    trained = redone(place, stages=False)
    if most <= 2 * STEPS:  # half of a trial's steps are a rung
        verdict.expect(trained <= most // 2, f"{trained} steps of trials, which is more than a rung, were taken again")
