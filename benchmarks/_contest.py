"""Contestants take turns at a job, each time in a fresh process."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs
from _job import Job
from _versions import versions

TURN = Path(__file__).with_name("_turn.py")
MOST = 120  # seconds for one turn
REASON = re.compile(r"^[\w.]*(Error|Exception|Exit|Interrupt)\b.*")

Facts = dict[str, float]


@attrs.frozen
class Entry:
    """What one contestant is to do."""

    contestant: str
    job: Job


@attrs.frozen
class Score:
    """What a contestant's turns took, each the median."""

    entry: Entry
    turns: tuple[Facts, ...]

    @property
    def rate(self) -> float:
        """Files per second."""
        return statistics.median(turn["count"] / turn["seconds"] for turn in self.turns)

    @property
    def cpu(self) -> float:
        """Seconds of the client's processor for each GB."""
        return statistics.median(
            turn["cpu"] / (turn["count"] * self.entry.job.size) * 1e9
            for turn in self.turns
        )

    @property
    def cpu_each(self) -> float:
        """Microseconds of the client's processor for each file."""
        return statistics.median(
            turn["cpu"] / turn["count"] * 1e6 for turn in self.turns
        )

    @property
    def busy(self) -> float:
        """The share of the time that the server was at work."""
        return statistics.median(
            turn["server_cpu"] / turn["seconds"] for turn in self.turns
        )

    def late(self, percentile: int) -> float | None:
        """How late a timer in the same loop was, in ms."""
        name = f"late_p{percentile}"
        known = [turn[name] for turn in self.turns if name in turn]
        return statistics.median(known) if known else None

    @property
    def growth(self) -> float | None:
        """Of memory, in KiB."""
        known = [turn["growth"] for turn in self.turns if turn["growth"] is not None]
        return statistics.median(known) if known else None

    @property
    def resumed(self) -> float | None:
        """The share of handshakes that went on with a session."""
        made = sum(turn["server_handshakes"] for turn in self.turns)
        return (
            sum(turn["server_resumed"] for turn in self.turns) / made if made else None
        )


@attrs.frozen
class Failure:
    reason: str


Result = Score | Failure


def entries(names: Iterable[str], job: Job) -> dict[str, Entry]:
    """All of them for the same job."""
    return {name: Entry(name, job) for name in names}


def contest(
    taking_part: Mapping[str, Entry], rounds: int, output: str | None = None
) -> dict[str, Result]:
    """
    Let contestants do their jobs, round by round.

    Args:
        taking_part: By what they are called in the results.

        rounds: How many turns each has.

        output: A file to which each turn is appended, as a line of JSON.
    """
    turns: dict[str, list[Facts]] = {label: [] for label in taking_part}
    failures: dict[str, Failure] = {}
    for _ in range(rounds):
        for label, entry in taking_part.items():
            if label in failures:
                continue
            done = turn(entry)
            if isinstance(done, Failure):
                failures[label] = done
                continue
            turns[label].append(done)
            record(output, entry, done)
    return {
        label: failures.get(label) or Score(entry, tuple(turns[label]))
        for label, entry in taking_part.items()
    }


def turn(entry: Entry) -> Facts | Failure:
    name, job = entry.contestant, entry.job
    with tempfile.TemporaryDirectory(dir=job.folder) as folder:
        document = json.dumps(attrs.asdict(attrs.evolve(job, folder=folder)))
        done = subprocess.run(
            [sys.executable, str(TURN), name, str(MOST), document],
            env=dict(environment(job)),
            capture_output=True,
            text=True,
            timeout=MOST + 10,
            check=False,
        )
    if done.returncode:
        return Failure(reason(done.returncode, done.stderr))
    facts: Facts = json.loads(done.stdout)
    return facts


def environment(job: Job) -> Iterator[tuple[str, str]]:
    """No proxies, and the authority for those that look for it here."""
    for name, value in os.environ.items():
        # Compiled modules are kept, as pip does for those that it installs.
        if not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE":
            yield name, value
    if job.ca is not None:
        yield "REQUESTS_CA_BUNDLE", job.ca
        yield "SSL_CERT_FILE", job.ca


def reason(code: int, errors: str) -> str:
    if code == -signal.SIGALRM:
        return f"took more than {MOST} s"
    lines = [line.strip(" |") for line in errors.splitlines() if line.strip()]
    said = [line for line in lines if REASON.match(line)] or lines
    return said[-1] if code > 0 and said else f"exit {code}; {' / '.join(lines[:4])}"


def record(output: str | None, entry: Entry, done: Facts) -> None:
    if output is None:
        return
    job, name = entry.job, entry.contestant
    case = {key: getattr(job, key) for key in ("direction", "size", "at_a_time")}
    said = {"contestant": name, "service": job.service, "versions": versions()}
    line = {**said, **case, **done}
    with Path(output).open("a") as file:
        print(json.dumps(line), file=file)
