"""
The start of one contestant, in a process that has loaded nothing but Python's own.

Prints a line of JSON: the milliseconds of its import, of making a client, of the first
files and of as many when all is warm; and the processor's for all of them.
"""

import sys
import time

WARM = 9  # batches, of which the median counts


def main() -> None:
    started = time.perf_counter()
    name, document = sys.argv[1:]
    import importlib

    from _clients import CONTESTANTS

    contestant = CONTESTANTS[name]
    module = importlib.import_module(f"_clients.{contestant.module}")
    imported = time.perf_counter()

    import json
    import os
    import statistics
    import tempfile

    import anyio
    import attrs
    from _job import Job

    job = Job(**json.loads(document))

    async def batch(transfer) -> float:  # type: ignore[no-untyped-def]  # any of them
        with tempfile.TemporaryDirectory(dir=job.folder) as folder:
            own = attrs.evolve(job, folder=folder)
            began = time.perf_counter()
            await transfer(own)
            seconds = time.perf_counter() - began
            if job.direction == "down" and len(os.listdir(folder)) != job.count:
                raise SystemExit("not all files came")
        return seconds

    async def start() -> None:
        began = time.perf_counter()
        async with module.opened(job) as transfer:
            made = time.perf_counter() - began
            first = await batch(transfer)
            used = time.process_time()
            warm = statistics.median([await batch(transfer) for _ in range(WARM)])
        facts = {"import": imported - started, "construct": made, "first": first}
        facts |= {"warm": warm, "cpu": used}
        print(json.dumps({name: 1000 * fact for name, fact in facts.items()}))

    options = dict(contestant.options)
    anyio.run(start, backend=contestant.backend, backend_options=options)
    sys.stdout.flush()
    os._exit(0)  # threads of pyreqwest's would abort an interpreter that ends


if __name__ == "__main__":
    main()
