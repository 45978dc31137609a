"""
One turn of one contestant, in a process of its own.

Does the job by the clock, from making the client to closing it, looks whether every
file arrived whole, and prints one line of JSON: what it took. Before, another client
finds out how much work fits into the time; so nobody's code is new to the process.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import attrs
from _clients import CONTESTANTS
from _job import SMALL, Job

Transfer = Callable[[Job], Awaitable[None]]
Opened = Callable[[Job], AbstractAsyncContextManager[Transfer]]
Facts = dict[str, float]

TICK = 0.001  # seconds


async def take_turn(module: str, job: Job) -> None:
    client = importlib.import_module(f"_clients.{module}")
    async with client.opened(job) as transfer:
        few = job.rehearsed or 2 * job.at_a_time
        await rehearse(transfer, attrs.evolve(job, size=SMALL, count=few))
        job = await scaled(transfer, job)
    print(json.dumps(await measure(client.opened, job)))


async def rehearse(transfer: Transfer, job: Job) -> float:
    """Do a job that does not count; the seconds that it took."""
    own = in_own_folder(job)
    try:
        started = time.perf_counter()
        await transfer(own)
        return time.perf_counter() - started
    finally:
        shutil.rmtree(own.folder)


async def scaled(transfer: Transfer, job: Job) -> Job:
    """The job, with as many files as fit into its seconds."""
    if job.seconds is None:
        return job
    count, seconds = min(job.count, job.at_a_time), 0.0
    while True:
        seconds = await rehearse(transfer, attrs.evolve(job, count=count))
        if seconds > job.seconds / 3 or count == job.count:
            break
        count = min(4 * count, job.count)
    fitting = round(count * job.seconds / seconds)
    return attrs.evolve(job, count=min(job.count, max(job.at_a_time, fitting)))


async def measure(opened: Opened, job: Job) -> dict[str, float | None]:
    batches = [in_own_folder(job) for _ in range(job.batches)]
    others = used(resource.RUSAGE_CHILDREN)
    cpu_before, server_before = cpu(), counts(job)
    async with watching(job) as delays:
        started = time.perf_counter()
        async with opened(job) as transfer:
            making = time.perf_counter() - started
            forget_peak()
            peak_before = peak()
            for batch in batches:
                await transfer(batch)
        seconds = time.perf_counter() - started
    cpu_after, server_after = cpu(), counts(job)
    server = {name: server_after[name] - server_before[name] for name in server_after}
    check(batches, server)
    # The memory of another process is not seen.
    alone = used(resource.RUSAGE_CHILDREN) == others
    return {
        "count": job.count * job.batches,
        "seconds": seconds,
        "making": making,  # of these, for the client
        "cpu": cpu_after - cpu_before,
        "growth": peak() - peak_before if alone else None,
        **percentiles(delays),
        **{f"server_{name}": fact for name, fact in server.items()},
    }


@asynccontextmanager
async def watching(job: Job) -> AsyncIterator[list[float]]:
    """Measure how much later than it should a timer of the same loop comes."""
    delays: list[float] = []
    async with anyio.create_task_group() as tasks:
        if job.watched:
            tasks.start_soon(watch, delays)
        yield delays
        tasks.cancel_scope.cancel()


async def watch(delays: list[float]) -> None:
    while True:
        due = time.perf_counter() + TICK
        await anyio.sleep(TICK)
        delays.append(time.perf_counter() - due)


def percentiles(delays: list[float]) -> dict[str, float]:
    if len(delays) < 2:
        return {}
    cuts = statistics.quantiles(delays, n=100)
    return {"late_p50": cuts[49] * 1000, "late_p99": cuts[98] * 1000}


def in_own_folder(job: Job) -> Job:
    return attrs.evolve(job, folder=tempfile.mkdtemp(dir=job.folder))


def cpu() -> float:
    """Seconds that this process has used, with those that it started."""
    return used(resource.RUSAGE_SELF) + used(resource.RUSAGE_CHILDREN)


def used(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


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
        facts: Facts = json.load(reply)
    return facts if job.process is None else {**facts, "cpu": cpu_of(job.process)}


def cpu_of(process: int) -> float:
    """Seconds that another process has used (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check(batches: list[Job], server: Facts) -> None:
    """Whether every file arrived, and whole."""
    check_arrived = {"down": check_files, "up": check_uploads}
    check_arrived[batches[0].direction](batches, server)


def check_files(batches: list[Job], _: Facts) -> None:
    for job in batches:
        sizes = [entry.stat().st_size for entry in os.scandir(job.folder)]
        if sizes != [job.size] * job.count:
            raise SystemExit(f"{len(sizes)} files, not all whole, of {job.count}")


def check_uploads(batches: list[Job], server: Facts) -> None:
    count = sum(job.count for job in batches)
    envelope = server["received"] / count - batches[0].size
    if server["uploads"] != count or not 0 < envelope < 1024:
        raise SystemExit(f"{server['uploads']} uploads, not all whole, of {count}")


def lengthened(job: Job, times: int) -> Job:
    return attrs.evolve(job, seconds=job.seconds and job.seconds * times)


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
        lengthened(Job(**json.loads(document)), contestant.longer),
        backend=contestant.backend,
        backend_options=dict(contestant.options),
    )
    sys.stdout.flush()
    # Threads of pyreqwest's that still end would abort an interpreter that ends.
    os._exit(0)


if __name__ == "__main__":
    main()
