"""
One turn of one contestant, in a process of its own.

Warms up, does the job by the clock, looks whether every file arrived whole, and
prints one line of JSON: what it took.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import attrs
from _clients import CONTESTANTS
from _job import SMALL, Job

Transfer = Callable[[Job], Awaitable[None]]
Facts = dict[str, float]


async def take_turn(module: str, job: Job) -> None:
    client = importlib.import_module(f"_clients.{module}")
    async with client.opened(job) as transfer:
        await rehearse(transfer, attrs.evolve(job, size=SMALL, count=job.at_a_time))
        print(json.dumps(await measure(transfer, await scaled(transfer, job))))


async def rehearse(transfer: Transfer, job: Job) -> float:
    """Do a job that does not count; the seconds that it took."""
    folder = tempfile.mkdtemp(dir=Path(job.folder).parent)
    try:
        started = time.perf_counter()
        await transfer(attrs.evolve(job, folder=folder))
        return time.perf_counter() - started
    finally:
        shutil.rmtree(folder)


async def scaled(transfer: Transfer, job: Job) -> Job:
    """The job, with as many files as fit into its seconds."""
    if job.seconds is None:
        return job
    count, seconds = min(job.count, job.at_a_time), 0.0
    while True:
        seconds = await rehearse(transfer, attrs.evolve(job, count=count))
        if seconds > job.seconds / 5 or count == job.count:
            break
        count = min(4 * count, job.count)
    fitting = round(count * job.seconds / seconds)
    return attrs.evolve(job, count=min(job.count, max(job.at_a_time, fitting)))


async def measure(transfer: Transfer, job: Job) -> dict[str, float | None]:
    forget_peak()
    peak_before, cpu_before, server_before = peak(), cpu(), counts(job)
    started = time.perf_counter()
    await transfer(job)
    seconds = time.perf_counter() - started
    cpu_after, server_after = cpu(), counts(job)
    server = {name: server_after[name] - server_before[name] for name in server_after}
    check(job, server)
    return {
        "count": job.count,
        "seconds": seconds,
        "cpu": cpu_after - cpu_before,
        "growth": None if has_children() else peak() - peak_before,
        **{f"server_{name}": fact for name, fact in server.items()},
    }


def cpu() -> float:
    """Seconds that this process has used, with those that it started."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def has_children() -> bool:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


# Not ru_maxrss, which begins with the peak of the process that started this one.
def peak() -> int:
    """The most memory held since `forget_peak`, in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def counts(job: Job) -> Facts:
    """What the server has done so far."""
    with urllib.request.urlopen(job.counts, timeout=10) as reply:
        return json.load(reply)


def check(job: Job, server: Facts) -> None:
    if job.direction == "up":
        check_uploads(job, server)
        return
    sizes = [entry.stat().st_size for entry in os.scandir(job.folder)]
    if sizes != [job.size] * job.count:
        raise SystemExit(f"{len(sizes)} files, not all whole, of {job.count}")


def check_uploads(job: Job, server: Facts) -> None:
    envelope = server["received"] / job.count - job.size
    if server["uploads"] != job.count or not 0 < envelope < 1024:
        raise SystemExit(f"{server['uploads']} uploads, not all whole, of {job.count}")


def allow_many_files() -> None:
    """As those need that open all files at once."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    name, most, document = sys.argv[1:]
    signal.alarm(int(most))  # so that it ends by itself, whatever happens
    allow_many_files()
    contestant = CONTESTANTS[name]
    anyio.run(
        take_turn,
        contestant.module,
        Job(**json.loads(document)),
        backend=contestant.backend,
        backend_options=dict(contestant.options),
    )
    sys.stdout.flush()
    # Threads of pyreqwest's that still end would abort an interpreter that ends.
    os._exit(0)


if __name__ == "__main__":
    main()
