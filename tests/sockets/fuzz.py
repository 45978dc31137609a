"""
The client against a hostile server, on both stacks and all event loops, for a while.

``python -m tests.sockets.fuzz --seconds 600``, and to see one case again,
``--case NUMBER``. It ends with 1 if something does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any
from unittest import mock

import anyio

from tests.conftest import BACKENDS
from tests.sockets.fuzzing import Findings, alone

_SUPPORTED = "wxmedia_async.transport._own.supported"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, and print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--begin", type=int, default=1_000_000, help="first number")
    parser.add_argument("--case", type=int, help="this number alone")
    options = parser.parse_args(arguments)
    findings = Findings()
    turns = list(product(("sockets", "httpx"), BACKENDS))
    for turn, (stack, backend) in enumerate(turns):
        before = findings.ended.total()
        if options.case is None:
            numbers = _until(options.seconds / len(turns), options.begin + turn)
        else:
            numbers = iter([options.case])
        _run(findings, numbers, stack, backend.values[0])
        print(stack, backend.id, findings.ended.total() - before, flush=True)
    for (operation, ended), count in sorted(findings.ended.items()):
        print(f"{operation:24} {ended:20} {count}")
    print(*findings.found, sep="\n", file=sys.stderr)
    print(findings.ended.total(), "cases hold,", len(findings.found), "do not")
    return bool(findings.found)


def _run(findings: Findings, numbers: Iterator[int], stack: str, backend: Any) -> None:
    name, backend_options = backend
    with contextlib.ExitStack() as exits:
        exits.enter_context(alone())
        if stack == "httpx":
            exits.enter_context(mock.patch(_SUPPORTED, return_value=False))
        anyio.run(findings.run, numbers, backend=name, backend_options=backend_options)


def _until(seconds: float, begin: int) -> Iterator[int]:
    """Count in steps that leave each turn numbers of its own."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield begin
        begin += 10


if __name__ == "__main__":
    sys.exit(main())
