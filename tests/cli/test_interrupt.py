from __future__ import annotations

import os
import signal
import sys

import anyio
import pytest

from wxmedia_async.cli._interrupt import interruptible

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


async def finish() -> int:
    await anyio.lowlevel.checkpoint()
    return 1


async def test_uninterrupted() -> None:
    """The exit code of what ends by itself is its own."""
    assert await interruptible(finish) == 1


@posix
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
async def test_interrupted(number: signal.Signals, code: int) -> None:
    """A signal cancels the work, which cleans up, and becomes the exit code."""
    cleaned: list[str] = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), number)
            while True:
                await anyio.sleep_forever()
        finally:
            cleaned.append("up")

    assert await interruptible(work) == code
    assert cleaned == ["up"]


@posix
async def test_second_signal() -> None:
    """The second Ctrl-C is not caught any more, so no clean-up can hang for good."""

    async def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
            second.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    second: list[object] = []

    await interruptible(work)

    assert second[0] in (before, signal.default_int_handler)


async def test_where_signals_cannot_be_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On Windows the work is run as it is; Ctrl-C is a KeyboardInterrupt there."""
    monkeypatch.setattr(sys, "platform", "win32")

    assert await interruptible(finish) == 1
